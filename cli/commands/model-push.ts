import { defined } from '../../kernel/defined.ts'
import { pushVersion } from '../../serving/models/push-version.ts'
import { pushAnswer } from '../../serving/protocols/http/models/model-schemas.ts'
import { actorOf, reasonOption } from '../actor.ts'
import { aliasChangeText } from '../text/model-text.ts'
import type { Command } from '../command.ts'
import { bytes } from '../text/human.ts'
import { datasetMismatchOption, untriedOption } from '../promote-with-progress.ts'
import { checkedOutCommit, metadataOf, metricsOf, paramsOf } from '../push-facts.ts'
import { readModelFile, withModelFile } from '../read-model-file.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { uploadFile } from '../remote/upload-file.ts'

export const modelPushCommand: Command = {
  name: 'model push',
  summary: 'Store an ONNX file as the next version of a model',
  description: [
    "The file's inputs and outputs are checked against the model's feature service first. Pushing the same file for the same service again returns the same version.",
    'With --dataset, compares the features of the training set with those that the model is served with. Refuses the file if a feature comes from another view or version of it, or has another position.',
    'The newest version answers requests until a version becomes the champion. From then on the champion answers, and a push changes nothing that is served.',
  ],
  arguments: [
    { name: 'NAME', help: 'The model, by its name in the definitions file.' },
    { name: 'FILE', help: 'The ONNX file. Weights in files beside it are stored with it.' },
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
    server: serverOption,
  },
  example: 'lockstep model push delay delay.onnx --metric auc=0.71 --dataset 3f0c2a --git-commit auto',
  async run(context, input) {
    const [metrics, params] = [metricsOf(input.texts('metric')), paramsOf(input.texts('param'))]
    const given = input.text('metadata')
    const metadata = given === undefined ? undefined : await metadataOf(given)
    const commit = input.text('git-commit')
    const gitCommit = commit === 'auto' ? await checkedOutCommit(process.cwd()) : commit
    const [dataset, alias] = [input.text('dataset'), input.text('alias')]
    const { actor, reason } = actorOf(input)
    const file = input.argument('FILE')
    const name = input.argument('NAME')
    const rest = { metrics, params, datasetMismatch: input.flag('dataset-mismatch'), untried: input.flag('untried') }
    const push = { ...rest, ...defined({ metadata, dataset, alias, gitCommit, reason }) }
    const server = serverOf(context, input)
    const pushed =
      server === null
        ? await pushVersion(await context.database(), { ...push, model: name, bytes: await readModelFile(file), file, actor })
        : await withModelFile(file, (path) =>
            uploadFile(context, server, path, (upload) =>
              server.ask('POST', `/v1/models/${encodeURIComponent(name)}/versions`, { ...push, upload }, pushAnswer),
            ),
          )
    const { created, champion, alias: moved, notes, unusedFeatures } = pushed
    const label = `${pushed.model}@${pushed.version}`
    return {
      json: pushed,
      text: [
        created
          ? `Stored ${file} (${bytes(pushed.sizeBytes)}) as ${label}, for ${pushed.service}; sha256 ${pushed.sha256}.`
          : `The file already is ${label}, pushed at ${pushed.createdAt}.`,
        ...(moved === null ? [] : [aliasChangeText(moved)]),
        ...(champion !== null && champion !== pushed.version
          ? [`Version ${champion} stays the champion. To serve this version: lockstep model promote ${label}`]
          : []),
        ...(created && champion === null && pushed.version > 1
          ? [
              `${label} answers requests from now on, as ${pushed.model} has no champion. To choose what answers: lockstep model promote ${pushed.model}@N`,
            ]
          : []),
        ...notes.map((note) => `note: ${note}`),
        ...(unusedFeatures.length > 0 ? [`note: the model takes no input from ${unusedFeatures.join(', ')}`] : []),
      ].join('\n'),
    }
  },
}
