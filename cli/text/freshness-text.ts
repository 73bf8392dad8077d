import { durationText } from '../../kernel/values/duration.ts'
import { maxCountedRows } from '../../monitoring/freshness/arrived-rows.ts'
import type { ViewFreshness } from '../../monitoring/freshness/view-freshness.ts'
import type { OldestWriter } from '../../runtime/postgres/oldest-writer.ts'
import type { StatusAnswer } from '../../serving/protocols/http/health/status-route.ts'
import { ago, count, counted, duration, moment } from './human.ts'

type ViewStatus = StatusAnswer['views'][number]

/** The age of the newest row, how far the view is behind its source, and how far it may be. */
export function freshnessCells({ newestRowSeconds, lag, freshnessSeconds }: NonNullable<ViewStatus['freshness']>): string[] {
  const newest = newestRowSeconds === null ? 'unknown' : ago(newestRowSeconds * 1000)
  const behind = lag === null ? 'unknown' : lag.rows === 0 ? 'none' : `${lagRows(lag.rows)}, ${duration(Math.max(1, lag.seconds * 1000))}`
  return [newest, behind, allowed(freshnessSeconds)]
}

/**
 * Older minutes are merged into hours, so the time can begin before the moment that was asked for.
 *
 * @param since RFC 3339
 */
export function servedHeader(since: string): string[] {
  return [`SERVED SINCE ${moment(new Date(since))} UTC`, 'NEWEST ROW', 'MEDIAN AGE', '95 %', 'MAY BE', 'ANSWERS SAMPLED']
}

/** How old views were in answers, beside how far they may be behind. */
export function servedRows(views: readonly ViewStatus[]): string[][] {
  return views.flatMap(({ id, served, freshness }) => {
    if (served === null || freshness === null) return []
    const shown = [served.leastSeconds, served.medianSeconds, served.p95Seconds].map((seconds) => duration(seconds * 1000))
    return [[id, ...shown, allowed(freshness.freshnessSeconds), count(served.answers)]]
  })
}

function allowed(freshnessSeconds: number | null): string {
  return freshnessSeconds === null ? '' : durationText(freshnessSeconds * 1e6)
}

function lagRows(rows: number): string {
  return rows < maxCountedRows ? counted(rows, 'row') : `${count(maxCountedRows)}+ rows`
}

/** The entities that are set aside, the first few by name. */
export function setAsideLines({
  view,
  setAside: { entities, messages },
}: {
  readonly view: string
  readonly setAside: ViewFreshness['setAside']
}): string[] {
  const more = entities - messages.length
  return [
    ...messages.map((message) => `set aside: ${message}`),
    ...(more > 0 ? [`set aside: ${counted(more, 'further entity', 'further entities')} of ${view}`] : []),
  ]
}

/** Runs leave out the rows of this transaction until it ends, and only these. */
export function oldestWriterText({ pid, application, database, state, seconds }: OldestWriter): string {
  const who = pid === null ? `prepared as "${application}"` : `process ${pid}${application === '' ? '' : `, "${application}"`}`
  const age = seconds === null ? 'of unknown age' : `open for ${duration(seconds * 1000)}`
  return `The oldest writing transaction is ${age} (${who}, database "${database}"${state === '' ? '' : `, ${state}`}).`
}
