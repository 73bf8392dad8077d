import { formatShare } from '../../kernel/format-number.ts'
import type { SliceSpec } from '../../kernel/slice-spec.ts'
import type { DefinitionPage, OnlineState } from '../../serving/find/definition-page.ts'
import type { Example } from '../../serving/find/example.ts'
import type { Use } from '../../registry/find/entry.ts'
import { nodeNames } from '../../registry/find/entry.ts'
import type { NamedType } from '../../registry/find/definition-details.ts'
import { isRecord } from '../../kernel/is-record.ts'
import { ago, count, counted, duration, shortId } from '../human.ts'
import { plainLines, plainText } from '../plain-text.ts'
import { valuesText } from '../statistics-text.ts'
import { table } from '../table.ts'
import { wrap } from '../wrap-text.ts'

/**
 * @param at where the example asks: a server's host, or its URL if the command was sent to it
 * @param width of the screen; null: nothing is cut
 */
export async function pageText(page: DefinitionPage, at: ExampleServer, width: number | null): Promise<string> {
  const { kind, name, version, retired, description, broken, code, example } = page
  const title = `${nodeNames[kind]} ${name}${version === null ? '' : `@${version}`}${retired ? ' (pruned)' : ''}`
  const parts = [
    [title, ...(description === null ? [] : plainLines(description).map((line) => `  ${line}`))].join('\n'),
    fieldsText(page, width),
    featuresText(page, width),
    statisticsText(page, width),
    columnsText(page, width),
    broken === null ? '' : `It cannot be used: ${plainText(broken)}`,
    code === undefined || code === null
      ? ''
      : [kind === 'outcome' ? 'Value:' : 'Transform:', ...plainLines(await readable(code)).map((line) => `  ${line}`)].join('\n'),
    example === null ? '' : exampleText(example, at),
  ]
  return parts.filter((part) => part !== '').join('\n\n')
}

export interface ExampleServer {
  /** `localhost:8080`, `https://features.example` */
  readonly url: string
  /** The value of the option "--server"; null: it is not needed. */
  readonly option: string | null
}

/** Only what shows code loads the compiler. */
async function readable(code: string): Promise<string> {
  const { readableCode } = await import('../../registry/bundle/expression.ts')
  return await readableCode(code)
}

function fieldsText(page: DefinitionPage, width: number | null): string {
  const {
    kind,
    version,
    owner,
    tags,
    versions,
    uses,
    usedBy,
    fingerprint,
    key,
    source,
    view,
    onDemand,
    model,
    outcome,
    monitor,
    channel,
    experiment,
    batch,
    pipeline,
    takes,
    online,
    rows,
  } = page
  const others = versions.filter((each) => each.version !== version || kind === 'model')
  const fields: (readonly [string, string])[] = [
    ['owner', owner ?? ''],
    ['tags', tags.join(', ')],
    ['key', key === undefined ? '' : key.length === 0 ? 'none: its features are global' : typedText(key)],
    ...(source === undefined
      ? []
      : ([
          ['reads', source.table ?? source.sql ?? 'its own table'],
          ['stream', source.stream ?? ''],
          ['files', source.files.join(', ')],
          [
            'key',
            Object.entries(source.key)
              .map(([part, column]) => (part === column ? part : `${part} in column ${column}`))
              .join(', '),
          ],
          ['event time', `column ${source.eventTime}`],
          ['known time', source.known === null ? '' : `column ${source.known}`],
          ['rows', rows === undefined || rows === null ? 'unknown' : `${rows.exact ? '' : 'about '}${count(rows.rows)}`],
        ] as const)),
    ...(view === undefined
      ? []
      : ([
          ['entity', `${view.entity}${view.key.length === 0 ? '' : `, key ${typedText(view.key)}`}`],
          ['source', view.source],
          ['available', `${view.availability}${view.maxLag === null ? '' : `, at most ${view.maxLag} behind its source`}`],
          ['online', online === undefined ? (view.online ? 'yes' : 'no: answered from the offline history') : onlineText(online)],
          ['derives', typedText(view.derived)],
        ] as const)),
    ...(onDemand === undefined
      ? []
      : ([
          ['request', typedText(onDemand.request)],
          ['inputs', onDemand.inputs.map((input) => `${input.name}: ${input.view}`).join(', ')],
        ] as const)),
    ...(model === undefined
      ? []
      : ([
          ['service', model.service],
          ['outputs', typedText(model.outputs)],
          [
            'aliases',
            Object.entries(model.aliases)
              .map(([alias, at]) => `${alias} ${at}`)
              .join(', '),
          ],
          ['slices', Object.entries(model.slices).map(sliceText).join('; ')],
        ] as const)),
    ...(outcome === undefined
      ? []
      : ([
          ['model', `${outcome.model}, output ${outcome.output}`],
          ['source', outcome.source],
          ['match', outcome.match],
          ['value', `${outcome.type}, ${outcome.column === null ? 'computed' : `column ${outcome.column}`}`],
          ['within', outcome.within],
          ['missing', outcome.missing === 'exclude' ? 'left out of figures' : JSON.stringify(outcome.missing)],
          [
            'figures',
            Object.entries(outcome.figures)
              .map(([name, column]) => `${name}: ${column}`)
              .join(', '),
          ],
        ] as const)),
    ...(monitor === undefined
      ? []
      : ([
          ['watches', monitor.watches],
          ['checks', monitor.checks.map(({ kind }) => kind).join(', ')],
          ['runs', `every ${monitor.every}, over ${monitor.window}`],
          ['severity', monitor.severity],
          ['notifies', monitor.notify.join(', ') || 'no channel'],
          ['runbook', monitor.runbook ?? ''],
          ['results', `lockstep monitor show ${page.name}`],
        ] as const)),
    ...(channel === undefined
      ? []
      : ([
          ['kind', channel.kind],
          ['severities', channel.severities.join(', ')],
          ['notified by', `monitors that name it${channel.defaults ? ', and default monitors' : ''}`],
          ['variables', channel.variables.join(', ')],
        ] as const)),
    ...(experiment === undefined ? [] : experimentFields(page.name, experiment)),
    ...(batch === undefined ? [] : batchFields(batch)),
    ...(pipeline === undefined ? [] : pipelineFields(page.name, pipeline)),
    ['takes', takes === undefined ? '' : typedText(takes)],
    [
      kind === 'model' ? 'versions' : 'other versions',
      others.map((each) => `${each.version}${each.retired ? ' (pruned)' : ''}`).join(', ') || (kind === 'model' ? 'none is pushed' : ''),
    ],
    // the other kinds list it above
    ['made from', kind === 'service' || kind === 'source' ? usesText(uses) : ''],
    // a monitor names its channels above, and a channel the monitors that notify it
    ['used by', notUsed.includes(kind) ? '' : usesText(usedBy) || 'nothing'],
    ['fingerprint', fingerprint.slice(0, 12)],
  ]
  const shown = fields.filter(([, value]) => value !== '')
  const wide = Math.max(...shown.map(([field]) => field.length))
  return shown
    .flatMap(([field, value]) => {
      const [first = '', ...more] = width === null ? [plainText(value)] : wrap(plainText(value), Math.max(30, width - wide - 2))
      return [`${field.padEnd(wide)}  ${first}`, ...more.map((line) => `${' '.repeat(wide)}  ${line}`)]
    })
    .join('\n')
}

/** Nothing is made from them; a channel is named by monitors. */
const notUsed: readonly DefinitionPage['kind'][] = ['monitor', 'channel', 'experiment', 'batch', 'pipeline']

function batchFields({ model, version, schedule, spine, out, id, format, mode, maxRefused }: NonNullable<DefinitionPage['batch']>) {
  const limit = maxRefused === null ? '' : 'rows' in maxRefused ? String(maxRefused.rows) : percent(maxRefused.share)
  return [
    ['model', version === null ? model : `${model}@${version}`],
    ['schedule', `${schedule} (UTC)`],
    ['spine', 'sql' in spine ? spine.sql : spine.file],
    ['output', `${out} (${format === 'table' ? mode : format})`],
    ['id', id],
    ['max refused', limit],
    ['results', `lockstep batch list --model ${model}`],
  ] as const
}

function pipelineFields(name: string, { source, model, version, sink, entities, key, ledger }: NonNullable<DefinitionPage['pipeline']>) {
  return [
    ['reads', source],
    ['model', version === null ? model : `${model}@${version}`],
    ['writes to', sink],
    ['entities', entities.map(({ field, column }) => (field === column ? field : `${field} from ${column}`)).join(', ')],
    ['key', key.join(', ')],
    ['ledger', ledger ? 'yes' : ''],
    ['now', `lockstep pipeline show ${name}`],
  ] as const
}

function experimentFields(name: string, details: NonNullable<DefinitionPage['experiment']>): (readonly [string, string])[] {
  const { model, unit, variants, coverage, layer, metrics, covariates, slices, analysis } = details
  return [
    ['model', model],
    ['unit', unit],
    ['variants', variants.map((each) => `${each.name} ${each.serves} (${percent(each.weight)})`).join(', ')],
    ['coverage', percent(coverage)],
    ['layer', layer === null ? '' : `${layer.name}, from ${layer.from} to ${layer.to}`],
    ...metrics.map((metric) => [metric.role, `${metric.name}: ${metric.computed}`] as const),
    ['covariates', covariates.join(', ')],
    ['slices', slices.join(', ')],
    ['analysis', `${analysis.method}, alpha ${analysis.alpha}, ${analysis.correction}`],
    ['results', `lockstep experiment show ${name}`],
  ]
}

function percent(share: number): string {
  return `${Number((share * 100).toPrecision(4))} %`
}

function typedText(columns: readonly NamedType[]): string {
  return columns.map(({ name, type }) => `${name} ${type}`).join(', ')
}

/** `size: amount at 10, 100`. */
function sliceText([name, { column, at, values }]: readonly [string, SliceSpec]): string {
  if (at !== undefined) return `${name}: ${column} at ${at.join(', ')}`
  if (values !== undefined) return `${name}: ${column} in ${Object.keys(values).join(', ')}`
  return name === column ? name : `${name}: ${column}`
}

const maxUses = 12

function usesText(uses: readonly Use[]): string {
  const more = uses.length > maxUses ? `, and ${count(uses.length - maxUses)} more ("lockstep lineage" lists them)` : ''
  return `${uses
    .slice(0, maxUses)
    .map((use) => `${nodeNames[use.kind]} ${shortId(use.name)}`)
    .join(', ')}${more}`
}

function onlineText({ ready, problem, freshness }: OnlineState): string {
  if (!ready) return `not ready: ${problem ?? ''}`
  if (freshness === null) return 'ready'
  const { newestRowSeconds, lag, late } = freshness
  const newest = newestRowSeconds === null ? '' : `, newest row ${ago(newestRowSeconds * 1000)}`
  const behind =
    lag === null || lag.rows === 0 ? '' : `, lacks ${counted(lag.rows, 'row')} for up to ${duration(Math.max(1, lag.seconds * 1000))}`
  return `ready${newest}${behind}${late === null ? '' : `. ${late}`}`
}

function featuresText({ kind, features = [] }: DefinitionPage, width: number | null): string {
  if (features.length === 0) return ''
  const missing = ({ required, default: instead }: (typeof features)[number]): string =>
    required ? ', required' : instead === null ? '' : `, ${JSON.stringify(instead)} if missing`
  const rows = features.map((feature) => [
    feature.name,
    feature.type,
    ...(kind === 'service' ? [feature.view ?? ''] : []),
    `${feature.computed}${missing(feature)}`,
  ])
  return table(['FEATURE', 'TYPE', ...(kind === 'service' ? ['VIEW'] : []), 'COMPUTED'], rows, '', width)
}

function statisticsText({ features = [] }: DefinitionPage, width: number | null): string {
  const found = features.flatMap(({ name, statistics }) => (statistics === null ? [] : [{ name, statistics }]))
  return [...Map.groupBy(found, ({ statistics }) => statistics.dataset).values()]
    .map((of) => {
      const rows = of.map(({ name, statistics }) => {
        const [, values] = valuesText(statistics)
        return [name, formatShare(statistics.nullShare), values]
      })
      const title = of.slice(0, 1).map(({ statistics }) => `Statistics of the training set ${setText(statistics)}:`)
      return [...title, table(['FEATURE', 'NULL', 'VALUES'], rows, '', width)].join('\n')
    })
    .join('\n\n')
}

function setText({
  dataset,
  createdAt,
  count: present,
  nulls,
}: {
  dataset: string
  createdAt: string
  count: number
  nulls: number
}): string {
  return `${shortId(dataset)}, ${counted(present + nulls, 'row')}, made on ${createdAt.slice(0, 10)}`
}

function columnsText({ source }: DefinitionPage, width: number | null): string {
  if (source === undefined || source.columns.length === 0) return ''
  return table(
    ['COLUMN', 'TYPE'],
    source.columns.map(({ name, type }) => [name, type]),
    '',
    width,
  )
}

function exampleText({ path, body, problem }: Example, { url, option }: ExampleServer): string {
  const json = JSON.stringify(body)
  const curl = `curl ${url}${path} -d ${quoted(json)}`
  const get = path === '/v1/features' ? [`${getText(body)}${option === null ? '' : ` --server ${option}`}`] : []
  const head = problem === null ? 'Ask it:' : `An example, which is not answered now (${plainText(problem)}):`
  return [head, ...get, curl].map((line, i) => (i === 0 ? line : `  ${plainText(line)}`)).join('\n')
}

/** The same as a command. */
function getText({ service, entities, asOf }: Example['body']): string {
  const [entity]: readonly unknown[] = Array.isArray(entities) ? entities : []
  const key = isRecord(entity) && Object.keys(entity).length > 0 ? ` --entity ${entityText(entity)}` : ''
  return `lockstep features get ${String(service)}${key}${typeof asOf === 'string' ? ` --as-of ${asOf}` : ''}`
}

/** `airport=ATL,distance=1.5`, or JSON where that would read as something else. */
function entityText(entity: Readonly<Record<string, unknown>>): string {
  const isPlain = Object.values(entity).every((value) => /^[\w.:+-]+$/.test(String(value)))
  return isPlain
    ? Object.entries(entity)
        .map(([name, value]) => `${name}=${String(value)}`)
        .join()
    : quoted(JSON.stringify(entity))
}

/** For a shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
