import { formatShare } from '../../kernel/values/format-number.ts'
import type { DefinitionPage } from '../../serving/find/definition-page.ts'
import type { Example } from '../../serving/find/example.ts'
import type { Use } from '../../registry/find/entry.ts'
import { nodeNames } from '../../registry/find/entry.ts'
import { isRecord } from '../../kernel/is-record.ts'
import { count, counted, shortId } from '../text/human.ts'
import { plainLines, plainText } from '../../kernel/values/plain-text.ts'
import { valuesText } from '../text/statistics-text.ts'
import { table } from '../text/table.ts'
import { wrap } from '../text/wrap-text.ts'
import type { Field } from './kind-fields.ts'
import { kindFields, typedText } from './kind-fields.ts'

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
  const { kind, version, owner, tags, versions, uses, usedBy, fingerprint, key, takes } = page
  const others = versions.filter((each) => each.version !== version || kind === 'model')
  const fields: readonly Field[] = [
    ['owner', owner ?? ''],
    ['tags', tags.join(', ')],
    ['key', key === undefined ? '' : key.length === 0 ? 'none: its features are global' : typedText(key)],
    ...kindFields(page),
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
const notUsed: readonly DefinitionPage['kind'][] = ['monitor', 'channel', 'experiment', 'batch', 'pipeline', 'training']

const maxUses = 12

function usesText(uses: readonly Use[]): string {
  const more = uses.length > maxUses ? `, and ${count(uses.length - maxUses)} more ("lockstep lineage" lists them)` : ''
  return `${uses
    .slice(0, maxUses)
    .map((use) => `${nodeNames[use.kind]} ${shortId(use.name)}`)
    .join(', ')}${more}`
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
