import { formatDuration } from '../kernel/duration.ts'
import { maxCountedRows } from '../monitoring/freshness/source-lag.ts'
import type { ServedAges } from '../monitoring/freshness/served-ages.ts'
import type { ViewFreshness } from '../monitoring/freshness/view-freshness.ts'
import type { OldestWriter } from '../runtime/oldest-writer.ts'
import { ago, count, counted, duration, moment } from './human.ts'

/** The age of the newest row, how far the view is behind its source, and how far it may be. */
export function freshnessCells({ newestRowSeconds, lag, freshnessMicros }: ViewFreshness): string[] {
  const newest = newestRowSeconds === null ? 'unknown' : ago(newestRowSeconds * 1000)
  const behind = lag === null ? 'unknown' : lag.rows === 0 ? 'none' : `${lagRows(lag.rows)}, ${duration(Math.max(1, lag.seconds * 1000))}`
  return [newest, behind, freshnessMicros === null ? '' : formatDuration(freshnessMicros)]
}

/** Older minutes are merged into hours, so the time can begin before the moment that was asked for. */
export function servedHeader({ from }: ServedAges): string[] {
  return [`SERVED SINCE ${moment(new Date(from / 1000))} UTC`, 'NEWEST ROW', 'MEDIAN AGE', '95 %', 'MAY BE', 'ANSWERS SAMPLED']
}

/** How old views were in answers, beside how far they may be behind. */
export function servedRows({ byView }: ServedAges, views: readonly ViewFreshness[]): string[][] {
  return views.flatMap(({ view, freshnessMicros }) => {
    const age = byView.get(view)
    if (age === undefined) return []
    const shown = [age.leastSeconds, age.medianSeconds, age.p95Seconds].map((seconds) => duration(seconds * 1000))
    return [[view, ...shown, freshnessMicros === null ? '' : formatDuration(freshnessMicros), count(age.answers)]]
  })
}

function lagRows(rows: number): string {
  return rows < maxCountedRows ? counted(rows, 'row') : `${count(maxCountedRows)}+ rows`
}

/** The entities that are set aside, the first few by name. */
export function setAsideLines({ view, setAside: { entities, messages } }: Pick<ViewFreshness, 'view' | 'setAside'>): string[] {
  const more = entities - messages.length
  return [
    ...messages.map((message) => `set aside: ${message}`),
    ...(more > 0 ? [`set aside: ${counted(more, 'further entity', 'further entities')} of ${view}`] : []),
  ]
}

/** Only its rows are left for later, whenever it ends. */
export function oldestWriterText({ pid, application, database, state, seconds }: OldestWriter): string {
  const who = pid === null ? `prepared as "${application}"` : `process ${pid}${application === '' ? '' : `, "${application}"`}`
  const age = seconds === null ? 'of unknown age' : `open for ${duration(seconds * 1000)}`
  return `The oldest writing transaction is ${age} (${who}, database "${database}"${state === '' ? '' : `, ${state}`}).`
}
