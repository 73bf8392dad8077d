import { isRecord } from '../../kernel/is-record.ts'
import { aliasesOf } from '../../registry/models/model-aliases.ts'
import { listModelVersions } from '../../registry/models/model-versions.ts'
import { pickVersion } from '../../registry/models/pick-version.ts'
import { modelAnswer, modelsAnswer } from '../../serving/protocols/http/models/model-schemas.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import { bytes, firstMetrics, moment } from '../text/human.ts'
import { modelVersionJson } from '../text/model-text.ts'
import type { Server } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { shareText } from '../text/rollout-text.ts'
import { table } from '../text/table.ts'

export const modelListCommand: Command = {
  name: 'model list',
  summary: 'List the versions of a model, or of all',
  arguments: [{ name: 'NAME', help: 'The model.', takes: 'optional' }],
  options: { server: serverOption },
  example: 'lockstep model list delay',
  async run(context, input) {
    const [name] = input.arguments('NAME')
    const server = serverOf(context, input)
    const versions = server === null ? await versionsHere(context, name) : await versionsThere(server, name)
    const rows = versions.map((version) => [
      version.model,
      String(version.version),
      defaultText(version),
      version.aliases.join(', '),
      version.service,
      bytes(version.sizeBytes),
      version.sha256.slice(0, 12),
      moment(new Date(version.createdAt)),
      firstMetrics(version.metrics),
      metadataText(version.metadata),
    ])
    const header = ['MODEL', 'VERSION', 'DEFAULT', 'ALIASES', 'SERVICE', 'SIZE', 'SHA256', 'PUSHED (UTC)', 'METRICS', 'METADATA']
    return {
      json: { versions },
      text: rows.length === 0 ? 'No model version has been pushed yet.' : table(header, rows),
    }
  },
}

/** Of a version that a training made, the run; "model show" has its evaluation too. */
function metadataText({ training, ...others }: Readonly<Record<string, unknown>>): string {
  const run = isRecord(training) && 'job' in training ? { name: training['name'], job: training['job'] } : training
  const shown = { ...others, ...(run === undefined ? {} : { training: run }) }
  return Object.keys(shown).length === 0 ? '' : JSON.stringify(shown)
}

interface ListedVersion {
  readonly model: string
  readonly version: number
  /** Whether this version answers requests that name no version. */
  readonly default: boolean
  /** Whether the model is pinned to it. */
  readonly pinned: boolean
  /** Its share of the requests by a rollout, from 0 to 1; null: it does not roll out. */
  readonly rolloutShare: number | null
  readonly aliases: readonly string[]
  readonly service: string
  readonly sizeBytes: number
  readonly sha256: string
  readonly createdAt: Date | string
  readonly metrics: Readonly<Record<string, number>>
  readonly metadata: Readonly<Record<string, unknown>>
}

/** A pin wins over a rollout. */
function defaultText({ pinned, default: isDefault, rolloutShare }: ListedVersion): string {
  if (pinned) return 'pinned'
  return rolloutShare === null ? (isDefault ? 'yes' : '') : shareText(rolloutShare)
}

async function versionsHere(context: Context, name: string | undefined): Promise<ListedVersion[]> {
  const catalog = await context.catalog()
  // reports a misspelt name as an error, not as an empty list
  if (name !== undefined) catalog.model(name)
  return (await listModelVersions(await context.database(), name)).map((version) => {
    const model = catalog.models.get(version.model)
    const isDefault = model !== undefined && model.versions.length > 0 && pickVersion(model).version === version.version
    return {
      ...modelVersionJson(version),
      aliases: model === undefined ? [] : aliasesOf(model, version.version),
      default: isDefault,
      pinned: model?.pin === version.version,
      rolloutShare: model?.rollout?.version === version.version ? model.rollout.share : null,
    }
  })
}

async function versionsThere(server: Server, name: string | undefined): Promise<ListedVersion[]> {
  const models =
    name === undefined
      ? (await server.ask('GET', '/v1/models', undefined, modelsAnswer)).models
      : [await server.ask('GET', `/v1/models/${encodeURIComponent(name)}`, undefined, modelAnswer)]
  return models.flatMap(({ model, version: answering, pinned, rollout, versions }) =>
    versions.map((version) => ({
      model,
      ...version,
      default: version.version === answering,
      pinned: version.version === pinned,
      rolloutShare: rollout?.version === version.version ? rollout.share : null,
    })),
  )
}
