import { readFile } from 'node:fs/promises'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { championAlias, readModelAliases } from '../../registry/model-aliases.ts'
import { pushModel } from '../../registry/models.ts'
import type { Database } from '../../runtime/database.ts'
import { notTried } from '../../registry/load-on-servers.ts'
import { trialEnds } from '../../inference/require-finished-trial.ts'
import { inspectModel } from '../../inference/inspect-model.ts'
import { actorOf, reasonOption } from '../actor.ts'
import { aliasChangeText, modelVersionJson } from '../model-text.ts'
import type { Command } from '../command.ts'
import { bytes } from '../human.ts'
import { datasetMismatchOption, untriedOption } from '../promote-with-progress.ts'
import { checkedOutCommit, metadataOf, metricsOf, paramsOf } from '../push-facts.ts'

export const modelPushCommand: Command = {
  name: 'model push',
  summary: 'Store an ONNX file as the next version of a model',
  description: [
    "The file's inputs and outputs are checked against the model's feature service first. Pushing the same file for the same service again returns the same version.",
    'With --dataset, the features of the training set are compared with those that the model is served with: another view, another version of it or another order is refused.',
    'The newest version answers requests until a version becomes the champion. From then on the champion answers, whatever is pushed.',
  ],
  arguments: [
    { name: 'NAME', help: 'The model, by its name in the definitions file.' },
    { name: 'FILE', help: 'The ONNX file.' },
  ],
  options: {
    metric: { value: 'NAME=NUMBER', help: 'An evaluation result.', many: true },
    param: { value: 'NAME=VALUE', help: 'A training parameter.', many: true },
    dataset: { value: 'ID', help: 'The training set that it was trained on. The first characters of its id are enough.' },
    'dataset-mismatch': datasetMismatchOption,
    untried: untriedOption,
    'git-commit': { value: 'SHA', help: 'The commit of the training code. auto: the commit that is checked out here.' },
    metadata: { value: 'FILE|JSON', help: 'A JSON object, or a file with one, to store with the version.' },
    alias: { value: 'ALIAS', help: 'Point this alias to the version. champion: serve it.' },
    reason: reasonOption,
  },
  example: 'lockstep model push delay delay.onnx --metric auc=0.71 --dataset 3f0c2a --git-commit auto',
  async run(context, input) {
    const [metrics, params] = [metricsOf(input.texts('metric')), paramsOf(input.texts('param'))]
    const given = input.text('metadata')
    const metadata = given === undefined ? {} : { metadata: await metadataOf(given) }
    const commit = input.text('git-commit')
    const gitCommit = commit === 'auto' ? await checkedOutCommit() : commit
    const [dataset, alias] = [input.text('dataset'), input.text('alias')]
    const { actor, reason } = actorOf(input)
    const file = input.argument('FILE')
    const content = await read(file)
    const db = await context.database()
    const contract = await inspectModel(content, { file })
    // a version that is served at once is tried at once
    if (alias !== undefined && !input.flag('untried') && !(await trialEnds(content, contract))) throw notTried(input.argument('NAME'))
    const pushed = await pushModel(db, {
      model: input.argument('NAME'),
      bytes: content,
      contract,
      metrics,
      params,
      actor,
      datasetMismatch: input.flag('dataset-mismatch'),
      ...metadata,
      ...(dataset === undefined ? {} : { dataset }),
      ...(gitCommit === undefined ? {} : { gitCommit }),
      ...(alias === undefined ? {} : { alias }),
      ...(reason === undefined ? {} : { reason }),
    })
    const { version, created, binding } = pushed
    const label = `${version.model}@${version.version}`
    const champion = await championOf(db, version.model)
    return {
      json: { ...modelVersionJson(version), created, unusedFeatures: binding.unused, alias: pushed.alias, champion, notes: pushed.notes },
      text: [
        created
          ? `Stored ${file} (${bytes(version.sizeBytes)}) as ${label}, for ${version.service}; sha256 ${version.sha256}.`
          : `The file already is ${label}, pushed at ${version.createdAt.toISOString()}.`,
        ...(pushed.alias === null ? [] : [aliasChangeText(pushed.alias)]),
        ...(created && champion !== null && champion !== version.version
          ? [`Version ${champion} stays the champion. To serve this version: lockstep model promote ${label}`]
          : []),
        ...pushed.notes.map((note) => `note: ${note}`),
        ...(binding.unused.length > 0 ? [`note: the model takes no input from ${binding.unused.join(', ')}`] : []),
      ].join('\n'),
    }
  },
}

/** null: there is no champion, and the newest version answers. */
async function championOf(db: Database, model: string): Promise<number | null> {
  return (await readModelAliases(db.kysely, model)).find(({ alias }) => alias === championAlias)?.version ?? null
}

async function read(file: string): Promise<Buffer> {
  try {
    return await readFile(file)
  } catch (cause) {
    throw new LockstepError(
      'FILE_UNREADABLE',
      `The model file "${file}" cannot be read: ${messageOf(cause)}. Give the path of an ONNX file.`,
      {
        cause,
        details: { path: file },
      },
    )
  }
}
