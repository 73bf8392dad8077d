import type { DefinitionPage, OnlineState } from '../serving/find/definition-page.ts'
import type { Example } from '../serving/find/example.ts'
import type { Use } from '../registry/find/entry.ts'
import { nodeNames } from '../registry/find/entry.ts'
import type { NamedType } from '../registry/find/definition-details.ts'
import { isRecord } from '../kernel/is-record.ts'
import { ago, count, counted, duration } from './human.ts'
import { plainLines, plainText } from './plain-text.ts'
import { valuesText } from './statistics-text.ts'
import { table } from './table.ts'

/** @param port of a server on this machine, for the example @param width of the screen; null: nothing is cut */
export function pageText(page: DefinitionPage, port: number, width: number | null): string {
  const { kind, name, version, retired, description, broken, code, example } = page
  const title = `${nodeNames[kind]} ${name}${version === null ? '' : `@${version}`}${retired ? ' (pruned)' : ''}`
  const parts = [
    [title, ...(description === null ? [] : plainLines(description).map((line) => `  ${line}`))].join('\n'),
    fieldsText(page),
    featuresText(page, width),
    columnsText(page, width),
    broken === null ? '' : `It cannot be used: ${plainText(broken)}`,
    code === undefined || code === null ? '' : ['Transform:', ...plainLines(code.trim()).map((line) => `  ${line}`)].join('\n'),
    example === null ? '' : exampleText(example, port),
  ]
  return parts.filter((part) => part !== '').join('\n\n')
}

function fieldsText(page: DefinitionPage): string {
  const { kind, version, owner, tags, versions, uses, usedBy, fingerprint, key, source, view, onDemand, model, online, rows } = page
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
        ] as const)),
    [
      kind === 'model' ? 'versions' : 'other versions',
      others.map((each) => `${each.version}${each.retired ? ' (pruned)' : ''}`).join(', '),
    ],
    ['made from', usesText(uses)],
    ['used by', usesText(usedBy) || 'nothing'],
    ['fingerprint', fingerprint.slice(0, 12)],
  ]
  const shown = fields.filter(([, value]) => value !== '')
  const wide = Math.max(...shown.map(([field]) => field.length))
  return shown.map(([field, value]) => `${field.padEnd(wide)}  ${plainText(value)}`).join('\n')
}

function typedText(columns: readonly NamedType[]): string {
  return columns.map(({ name, type }) => `${name} ${type}`).join(', ')
}

const maxUses = 12

function usesText(uses: readonly Use[]): string {
  const more = uses.length > maxUses ? `, and ${count(uses.length - maxUses)} more ("lockstep lineage" lists them)` : ''
  return `${uses
    .slice(0, maxUses)
    .map((use) => `${nodeNames[use.kind]} ${use.name}`)
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
  const rows = features.map(({ name, type, view, computed, default: missing, required, statistics }) => {
    const [, values] = statistics === null ? ['', ''] : valuesText(statistics)
    const share = statistics === null ? '' : `${Number((statistics.nullShare * 100).toPrecision(3))} %`
    return {
      FEATURE: name,
      TYPE: type,
      VIEW: kind === 'service' ? (view ?? '') : '',
      'IF MISSING': required ? 'refused' : missing === null ? '' : JSON.stringify(missing),
      NULLS: share,
      COMPUTED: computed,
      VALUES: values,
    }
  })
  const titles = ['FEATURE', 'TYPE', 'VIEW', 'IF MISSING', 'NULLS', 'COMPUTED', 'VALUES'] as const
  const shown = titles.filter((title) => rows.some((row) => row[title] !== ''))
  const sets = [...new Set(features.flatMap(({ statistics }) => (statistics === null ? [] : [setText(statistics)])))]
  const note = sets.length === 0 ? [] : [`Nulls and values are of the training set${sets.length > 1 ? 's' : ''} ${sets.join(' and ')}.`]
  return [
    table(
      shown,
      rows.map((row) => shown.map((title) => row[title])),
      '',
      width,
    ),
    ...note,
  ].join('\n')
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
  return `${dataset.slice(0, 8)} of ${createdAt.slice(0, 10)} (${counted(present + nulls, 'row')})`
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

function exampleText({ path, body, problem }: Example, port: number): string {
  const json = JSON.stringify(body)
  const curl = `curl localhost:${port}${path} -d ${quoted(json)}`
  const get = path === '/v1/features' ? [getText(body)] : []
  const head = problem === null ? 'Ask it:' : `An example, which is not answered now (${plainText(problem)}):`
  return [head, ...get, curl].map((line, i) => (i === 0 ? line : `  ${plainText(line)}`)).join('\n')
}

/** The same as a command. */
function getText({ service, entities, asOf }: Example['body']): string {
  const [entity]: readonly unknown[] = Array.isArray(entities) ? entities : []
  const key = isRecord(entity) ? ` --entity ${quoted(JSON.stringify(entity))}` : ''
  return `lockstep features get ${String(service)}${key}${typeof asOf === 'string' ? ` --as-of ${asOf}` : ''}`
}

/** For a shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}
