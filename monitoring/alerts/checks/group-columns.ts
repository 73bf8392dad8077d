import { asRecord } from '../../../kernel/is-record.ts'
import type { CheckContext, CheckResult } from '../check-kind.ts'
import type { WatchedVersion } from './watched-versions.ts'
import { unknownBecause } from './watched-versions.ts'

/** The result of a check about one column. */
export interface ColumnResult extends Omit<CheckResult, 'subject' | 'memory' | 'severity' | 'joined'> {
  readonly column: string
}

export function unknownColumn(column: string, cause: string): ColumnResult {
  return { column, ...unknownBecause(cause) }
}

const listedColumns = 20
const namedColumns = 3

/**
 * One result for all columns of a source, because one fault of a source moves many of them. The subject does not change
 * when a further column joins, so neither does the alert; it notifies of the column.
 *
 * A source is `ok` again when the columns that breached are: one that is unknown then says nothing.
 *
 * @param columns the most harmful first
 */
export function groupColumns(
  columns: readonly ColumnResult[],
  { version, groupOf }: WatchedVersion,
  memoryOf: CheckContext['memoryOf'],
): CheckResult[] {
  const groups = Map.groupBy(columns, ({ column }) => groupOf(column))
  return Array.from(groups, ([group, own]) => {
    const subject = `${group} (model version ${version})`
    return groupResult(subject, group, own, breachedOf(memoryOf(subject)))
  })
}

function groupResult(subject: string, group: string, own: readonly ColumnResult[], before: readonly string[]): CheckResult {
  const breaching = own.filter(({ state }) => state === 'breach')
  const known = own.filter(({ state }) => state !== 'unknown')
  const unsettled = own.filter(({ column, state }) => state === 'unknown' && before.includes(column))
  const unknown = unsettled.length > 0 ? unsettled : known.length === 0 ? own : []
  const state = breaching.length > 0 ? 'breach' : unknown.length > 0 ? 'unknown' : 'ok'
  const shown = [...breaching, ...unknown, ...known][0] as ColumnResult
  const { value, threshold, n, cause } = shown
  const breached = state === 'ok' ? [] : [...new Set([...breaching.map(({ column }) => column), ...before])]
  const ordered = [...breaching, ...own.filter((each) => each.state !== 'breach')]
  const evidence = {
    columns: ordered.slice(0, listedColumns).map((each) => ({ ...each, column: nameOf(each.column) })),
    of: own.length,
  }
  const text = cause === null || breaching.length < 2 ? cause : `${cause} ${othersText(group, breaching.slice(1))}`
  const joined = before.length === 0 ? [] : breaching.filter(({ column }) => !before.includes(column))
  const result: CheckResult = { subject, state, value, threshold, n, evidence, cause: text, memory: { breached } }
  return joined.length === 0 ? result : { ...result, joined: joinedText(group, joined) }
}

function joinedText(group: string, joined: readonly ColumnResult[]): string {
  const causes = joined.slice(0, namedColumns).map(({ column, cause }) => cause ?? `"${nameOf(column)}" breaches.`)
  const more = joined.length > namedColumns ? ` ${joined.length - namedColumns} more join.` : ''
  return `More columns of "${group}" breach now: ${causes.join(' ')}${more}`
}

function othersText(group: string, others: readonly ColumnResult[]): string {
  const named = others.slice(0, namedColumns).map(({ column }) => `"${nameOf(column)}"`)
  const more = others.length > named.length ? ` and ${others.length - named.length} more` : ''
  return `Columns of "${group}" that breach, too: ${named.join(', ')}${more}.`
}

function nameOf(column: string): string {
  return column.replace(/^output:/, '')
}

function breachedOf(memory: unknown): string[] {
  const { breached } = asRecord(memory)
  return Array.isArray(breached) ? breached.filter((each) => typeof each === 'string') : []
}
