import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { parseDuration } from '../../kernel/values/duration.ts'
import { namesInBraces } from '../../kernel/values/interval-text.ts'
import { isRecord } from '../../kernel/is-record.ts'
import { show } from '../../kernel/values/value-type.ts'
import type { BatchOutputFields, GivenOutput } from './batch-output-fields.ts'
import { isTableUrl, outputFields } from './batch-output-fields.ts'
import { invalid, knownParts, oneOf, scheduleOf, textOf } from './checked-fields.ts'
import type { ScheduledBatchSpec } from '../scheduled-batch-spec.ts'
import type { Description } from './definition.ts'
import { checkBody, checkKind, define, describe } from './definition.ts'
import type { Model } from './model.ts'
import { checkName } from './names.ts'

/** Batch inference at the instants of a schedule. */
export interface Batch<N extends string = string> {
  readonly kind: 'batch'
  readonly name: N
  readonly model: Model
  readonly spec: ScheduledBatchSpec
  readonly described: Description
}

/**
 * `spine`, `out` and `id` may contain the interval between the previous instant of the schedule and this one: `{from}`,
 * `{to}`, and of its beginning `{date}`, `{year}`, `{month}`, `{day}`, `{hour}`, `{minute}`. Rows at `{from}` belong to
 * it, rows at `{to}` do not.
 */
export interface BatchOptions {
  readonly model: Model
  /** The version or alias that predicts. Default: the champion, or the newest version if there is none. */
  readonly version?: number | string
  /** The rows to predict for: a query, or a file that all workers reach. */
  readonly spine: { readonly sql: string } | { readonly file: string }
  /** The time column of the spine, if it has several. */
  readonly time?: string
  /** Whether rows count that become visible at exactly the time of a spine row. Default: at. */
  readonly asOf?: 'at' | 'before'
  /** The columns of the spine to copy. Default: all. */
  readonly columns?: readonly string[]
  /**
   * The URL of the folder: `'s3://ml/scores/day={date}'`; a path that begins with `/` and that all workers reach; or a
   * table of the database: `'postgres:ml.scores'`.
   */
  readonly out: string
  /**
   * Of a table: whether the rows of a batch replace all others, are added to those of other batches, or replace those
   * of their key. Default: replace.
   */
  readonly mode?: 'replace' | 'append' | 'upsert'
  /** Of the mode `upsert`: columns of the spine. Default: the entity keys of the model's service. */
  readonly key?: readonly string[]
  /** The id of each batch. Default: its name, then `/{from}`. */
  readonly id?: string
  /**
   * How long the predictions answer requests from the online store, after the time of their row: `'26h'`. Requests ask
   * for it with `"from": "batch"`. Default: they do not.
   */
  readonly online?: string
  /** Default: parquet. */
  readonly format?: 'parquet' | 'csv' | 'jsonl'
  /** The maximum number of rows of a file. Default: 100,000. */
  readonly rowsPerPart?: number
  /** A batch fails if more rows have no prediction: a share such as `'1%'`, or a number. Default: no limit. */
  readonly maxRefused?: string | number
  /** A batch fails if its spine has fewer rows, so that it replaces nothing. Default: it may have none. */
  readonly minRows?: number
  /** Whether a batch replaces another one in its folder. Default: false. */
  readonly overwrite?: boolean
  /** Five fields of cron, in UTC: `'0 2 * * *'`. */
  readonly schedule: string
}

const fields = [
  'model',
  'version',
  'spine',
  'time',
  'asOf',
  'columns',
  'out',
  'id',
  'format',
  'mode',
  'key',
  'online',
  'rowsPerPart',
  'maxRefused',
  'minRows',
  'overwrite',
  'schedule',
]
const defaultRowsPerPart = 100_000
const formats = ['parquet', 'csv', 'jsonl'] as const

/**
 * Declares a batch that workers begin at each instant of a schedule.
 *
 * @example
 * export const nightly = batch('nightly', {
 *   model: delayModel, schedule: '0 2 * * *', out: 's3://ml/delays/day={date}',
 *   spine: { sql: "select origin as airport, at from departures where at >= '{from}' and at < '{to}'" },
 * })
 * @throws LockstepError `INVALID_NAME`, `INVALID_SCHEDULE`, `DEFINITIONS_INVALID`
 */
export function batch<const N extends string>(name: N, body: BatchOptions & Description): Batch<N> {
  const what = `The batch "${checkName(name, 'A batch')}"`
  checkBody(body, what, fields)
  checkKind(body.model, ['model'], `The model of ${what.replace('The', 'the')}`, 'a model')
  const { overwrite = false, rowsPerPart = defaultRowsPerPart, minRows = null } = body
  if (typeof overwrite !== 'boolean') throw invalid(`${what} has the overwrite ${show(overwrite)}; write true or false.`)
  if (!Number.isSafeInteger(rowsPerPart) || rowsPerPart < 1)
    throw invalid(`${what} has the rowsPerPart ${show(rowsPerPart)}; write a whole number from 1 on.`)
  if (minRows !== null && (!Number.isSafeInteger(minRows) || minRows < 1))
    throw invalid(`${what} has the minRows ${show(minRows)}; write a whole number from 1 on.`)
  const spec: ScheduledBatchSpec = {
    name,
    model: body.model.name,
    version: versionOf(body.version, what),
    spine: Object.freeze(spineOf(body.spine, what)),
    time: body.time === undefined ? null : textOf(body.time, 'time', what),
    asOf: oneOf(body.asOf, ['at', 'before'], 'asOf', what),
    columns: columnsOf(body.columns, 'columns', what),
    id: idOf(body.id ?? `${name}/{from}`, what),
    ...outputOf(body, overwrite, what),
    onlineMicros: onlineOf(body.online, what),
    rowsPerPart,
    maxRefused: maxRefusedOf(body.maxRefused, what),
    minRows,
    overwrite,
    schedule: scheduleOf(body.schedule, what),
  }
  return define({ kind: 'batch', name, model: body.model, spec: Object.freeze(spec), described: describe(body, what) })
}

export function versionOf(version: unknown, what: string): ScheduledBatchSpec['version'] {
  if (version === undefined) return null
  if (typeof version === 'number' && Number.isSafeInteger(version) && version >= 1) return version
  if (typeof version === 'string' && /^[a-z][a-z0-9_]*$/.test(version)) return version
  throw invalid(`${what} has the version ${show(version)}; write a version such as 7, or an alias such as 'challenger'.`)
}

function spineOf(spine: unknown, what: string): ScheduledBatchSpec['spine'] {
  const { sql, file, ...rest } = isRecord(spine) ? spine : {}
  if (typeof sql === 'string' && sql.trim() !== '' && file === undefined && Object.keys(rest).length === 0) return { sql }
  if (typeof file === 'string' && sql === undefined && Object.keys(rest).length === 0) {
    // workers run in other folders than the definitions
    if (!/^(?:(?:s3|gs):\/\/.|\/.)/.test(file))
      throw invalid(`${what} has the spine file ${show(file)}; write a URL such as s3://bucket/key, or a path that begins with "/".`)
    return { file: knownParts(file, 'spine', what) }
  }
  throw invalid(`${what} has the spine ${show(spine)}; write { sql: 'select …' } or { file: 's3://bucket/key' }.`)
}

function idOf(id: unknown, what: string): string {
  const text = knownParts(textOf(id, 'id', what), 'id', what)
  if (namesInBraces(text).length > 0) return text
  throw invalid(`${what} has the id ${show(id)}, which is the same each time; add the interval, as in "${text}/{from}".`)
}

function outputOf(body: BatchOptions, overwrite: boolean, what: string): Pick<ScheduledBatchSpec, 'out' | 'format' | 'mode' | 'key'> {
  const given = knownParts(textOf(body.out, 'out', what), 'out', what)
  const out = given.startsWith('/') ? folderUrl(given) : given
  // workers run in other folders than the definitions
  if (!/^(?:(?:s3|gs):\/\/|file:\/\/\/)[^/]/.test(out) && !isTableUrl(out))
    throw invalid(
      `${what} has the out ${show(given)}; write the URL of a folder such as s3://bucket/folder, a path that begins with "/", or a table: postgres:SCHEMA.TABLE.`,
    )
  const format = body.format === undefined ? undefined : oneOf(body.format, formats, 'format', what)
  const mode = body.mode === undefined ? undefined : oneOf(body.mode, ['replace', 'append', 'upsert'], 'mode', what)
  const fields = completeOutput({ out, format, mode, key: columnsOf(body.key, 'key', what) ?? undefined }, what)
  if (overwrite || fields.mode !== 'replace' || namesInBraces(out).length > 0) return fields
  const example = isTableUrl(out) ? `mode: 'append'` : `the interval, as in "${given.replace(/\/+$/, '')}/day={date}"`
  throw invalid(`${what} has the out ${show(given)}, which is the same each time; add ${example}, or overwrite: true.`)
}

/** The URL of a path. The names of the interval stay in braces. Definitions load no module of Node for it. */
function folderUrl(path: string): string {
  const escaped = encodeURI(path.toWellFormed()).replaceAll('?', '%3F').replaceAll('#', '%23')
  return `file://${escaped.replaceAll('%7B', '{').replaceAll('%7D', '}')}`
}

function onlineOf(online: unknown, what: string): number | null {
  if (online === undefined) return null
  try {
    return parseDuration(textOf(online, 'online', what), `The online time`)
  } catch (cause) {
    throw new LockstepError('DEFINITIONS_INVALID', `${what}: ${messageOf(cause)}`, { cause })
  }
}

function completeOutput(given: GivenOutput, what: string): BatchOutputFields {
  try {
    return outputFields(given)
  } catch (cause) {
    throw new LockstepError('DEFINITIONS_INVALID', `${what}: ${messageOf(cause)}`, { cause })
  }
}

function columnsOf(columns: unknown, field: string, what: string): string[] | null {
  if (columns === undefined) return null
  if (Array.isArray(columns) && columns.length > 0 && columns.every((each) => typeof each === 'string')) return [...columns]
  throw invalid(`${what} has the ${field} ${show(columns)}; write a list of names.`)
}

function maxRefusedOf(given: unknown, what: string): ScheduledBatchSpec['maxRefused'] {
  if (given === undefined) return null
  if (typeof given === 'number' && Number.isSafeInteger(given) && given >= 0) return { rows: given }
  const [, percent] = (typeof given === 'string' && /^(\d+(?:\.\d+)?)\s*%$/.exec(given)) || []
  if (percent !== undefined && Number(percent) <= 100) return { share: Number(percent) / 100 }
  throw invalid(`${what} has the maxRefused ${show(given)}; write a share such as '1%', or a number of rows.`)
}
