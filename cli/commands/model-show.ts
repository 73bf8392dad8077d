import { isRecord } from '../../kernel/is-record.ts'
import { aliasesOf } from '../../registry/models/model-aliases.ts'
import type { ModelLineage } from '../../registry/models/model-lineage.ts'
import { readModelLineage } from '../../registry/models/model-lineage.ts'
import type { TensorInfo } from '../../registry/models/model-contract.ts'
import { tensorText } from '../../registry/models/model-contract.ts'
import { noVersion, parseModelReference, pickVersion } from '../../registry/models/pick-version.ts'
import { modelAnswer, modelVersionAnswer } from '../../serving/protocols/http/models/model-schemas.ts'
import type { Command, Outcome } from '../command.ts'
import type { Context } from '../context.ts'
import { bytes, metricsText, moment } from '../text/human.ts'
import { modelVersionJson } from '../text/model-text.ts'
import type { Server } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

export const modelShowCommand: Command = {
  name: 'model show',
  summary: 'Show a model version: its facts and its lineage',
  description: ['Without a version, shows the one that answers by default: the pinned version, else the champion, else the newest.'],
  arguments: [{ name: 'MODEL', help: 'The model, or one version of it: delay@3, delay@challenger.' }],
  options: { server: serverOption },
  example: 'lockstep model show delay@3',
  async run(context, input) {
    const server = serverOf(context, input)
    const reference = input.argument('MODEL')
    return server === null ? await showModelVersion(context, reference) : await showServerVersion(server, reference)
  },
}

/** @param reference `delay`, `delay@3`, `delay@challenger` */
export async function showModelVersion(context: Context, reference: string): Promise<Outcome> {
  const { model: name, version: wanted } = parseModelReference(reference)
  const model = (await context.catalog()).model(name)
  const version = pickVersion(model, wanted)
  const lineage = await readModelLineage(await context.database(), version)
  const aliases = aliasesOf(model, version.version)
  const pinned = model.pin
  const shown = modelVersionJson(version)
  return { json: { ...shown, aliases, pinned, lineage }, text: versionText(shown, aliases, pinned, lineage) }
}

/** @param reference `delay`, `delay@3`, `delay@challenger` */
export async function readServerVersion(server: Server, reference: string) {
  const { model: name, version: wanted } = parseModelReference(reference)
  const path = `/v1/models/${encodeURIComponent(name)}`
  const { model, version: answering, versions, pinned } = await server.ask('GET', path, undefined, modelAnswer)
  const version = wanted ?? answering ?? versions.at(-1)?.version
  if (version === undefined) throw noVersion(model)
  const { requestId: _, ...answer } = await server.ask('GET', `${path}/versions/${version}`, undefined, modelVersionAnswer)
  return { pinned, answer }
}

async function showServerVersion(server: Server, reference: string): Promise<Outcome> {
  const { pinned, answer } = await readServerVersion(server, reference)
  // the schema says less than what a server of the same version answers
  const shown = answer as unknown as ShownVersion & { readonly aliases: readonly string[]; readonly lineage: ModelLineage }
  return { json: { ...shown, pinned }, text: versionText(shown, shown.aliases, pinned, shown.lineage) }
}

type ShownVersion = Omit<ReturnType<typeof modelVersionJson>, 'createdAt'> & { readonly createdAt: Date | string }

function versionText(
  version: ShownVersion,
  aliases: readonly string[],
  pinned: number | null,
  { dataset, service, views, onDemand, sources }: ModelLineage,
): string {
  const named = (values: Readonly<Record<string, unknown>>): string =>
    Object.entries(values)
      .map(([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
      .join(', ')
  const run = runOf(version.metadata)
  const { training: _, ...others } = version.metadata
  const metadata = run === null ? version.metadata : others
  const retired = (is: boolean): string => (is ? ', pruned since' : '')
  const fields: (readonly [string, string])[] = [
    ['model', `${version.model}@${version.version}${aliases.length === 0 ? '' : ` (${aliases.join(', ')})`}`],
    [
      'pinned',
      pinned === null
        ? ''
        : pinned === version.version
          ? 'the model is pinned to this version'
          : `the model is pinned to version ${pinned}`,
    ],
    ['pushed', `${moment(new Date(version.createdAt))} UTC${version.pushedBy === null ? '' : ` by ${version.pushedBy}`}`],
    ['file', `${bytes(version.sizeBytes)}, sha256 ${version.sha256}`],
    ...version.inputs.map((tensor) => ['input', inputText(tensor)] as const),
    ...version.outputs.map((tensor) => ['output', `${tensor.name} ${tensorText(tensor)}`] as const),
    ['metrics', metricsText(version.metrics)],
    ['parameters', named(version.params)],
    ['commit', version.gitCommit ?? ''],
    ['trained by', run === null ? '' : `run ${run.job} of the training ${run.name}`],
    ['metadata', named(metadata)],
    ['training set', dataset === null ? '' : datasetText(dataset)],
    ['service', `${service.id} ${short(service.fingerprint)}${retired(service.retired)}`],
    ...onDemand.map((view) => ['on demand', `${view.id} ${short(view.fingerprint)}${retired(view.retired)}`] as const),
    ...views.map(
      (view) => ['view', `${view.id} ${short(view.fingerprint)}, of ${view.source}, by ${view.entity}${retired(view.retired)}`] as const,
    ),
    ...sources.map(({ name, relation }) => ['source', `${name}: ${relationText(relation)}`] as const),
  ]
  const shown = fields.filter(([, value]) => value !== '')
  const width = Math.max(...shown.map(([name]) => name.length))
  return shown.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n')
}

/** `x_num float32[N, 2] of visits, age` */
function inputText(tensor: TensorInfo): string {
  const { name, features } = tensor
  return `${name} ${tensorText(tensor)}${features === undefined ? '' : ` of ${features.join(', ')}`}`
}

function datasetText({ id, path, sameService, service }: NonNullable<ModelLineage['dataset']>): string {
  if (path === null) return `${id}, which is no longer in the registry`
  return `${id}, ${path}${sameService === true ? '' : `, with the features of another definition (${service})`}`
}

function relationText(relation: ModelLineage['sources'][number]['relation']): string {
  switch (relation.kind) {
    case 'owned':
      return 'the table that Lockstep created'
    case 'table':
      return `the table ${relation.table}`
    case 'sql':
      return `the query ${relation.sql}`
    default:
      return relation satisfies never
  }
}

function short(hash: string): string {
  return hash.slice(0, 12)
}

/** The run of a training that made the version; null: somebody pushed it. */
function runOf({ training }: Readonly<Record<string, unknown>>): { readonly name: string; readonly job: number } | null {
  if (!isRecord(training)) return null
  const { name, job } = training
  return typeof name === 'string' && typeof job === 'number' ? { name, job } : null
}
