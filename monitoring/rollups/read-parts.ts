import type { Window } from '../window.ts'
import { floorTo, minuteMicros } from '../../kernel/values/time.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { coverageOf } from './coverage.ts'
import type { ColumnsRead, MeasuredPeriod, MergedStep, PeriodRows, StoredRollup } from './merged-rollups.ts'
import { readHoursAndDays, readMerged, readMergedCoverage, stepMicros } from './merged-rollups.ts'
import { readMinutes, readWritten } from './minute-rollups.ts'
import type { RollupKey } from './rollup-writer.ts'
import { noModel } from './rollup-writer.ts'

export interface RollupWindow {
  /** Epoch microseconds, [from, to), widened to minutes. Where minutes are no longer kept, to hours or days. */
  readonly from: number
  readonly to: number
  /** Leaves out the columns, which are large. */
  readonly trafficOnly?: boolean | undefined
}

export interface PartsQuery extends RollupWindow {
  readonly models: readonly string[]
  /** Leaves out the bins of columns, which are most of their bytes. */
  readonly summariesOnly?: boolean
  /** Leaves out the rows of the processes. */
  readonly modelsOnly?: boolean
  /** The hour of this moment is read by its minutes, if these are kept. */
  readonly cutAt?: number | undefined
}

/** The stored rollups of a window, in periods that do not overlap. */
export interface WindowParts {
  /** In batches. Rows of the processes have the model ''. */
  readonly rows: AsyncIterable<readonly StoredRollup[]>
  /** By period: how it was measured. It is read for each call. */
  readonly coverage: () => Promise<readonly MeasuredPeriod[]>
  readonly from: number
  readonly to: number
  /** Where the period of a moment begins: its minute, or the hour or day that is read in place of its minutes. */
  readonly startOf: (moment: number) => number
}

/** Servers write a minute within seconds of its end. Later than this, it is missing. */
const writtenWithinMicros = 2 * minuteMicros
/** How far before a window a process may have written last. */
const lookBackMicros = 60 * minuteMicros

interface Period extends Window {
  readonly step: MergedStep | 'minute'
}

/** Reads each period from the coarsest rows that have all of it. @param coarsest the coarsest step to read */
export async function readParts(
  db: Pick<Database, 'query'>,
  { models, from, to, trafficOnly = false, summariesOnly = false, modelsOnly = false, cutAt }: PartsQuery,
  coarsest: MergedStep | 'minute',
): Promise<WindowParts> {
  const all = [...models, noModel.model]
  const [first, end] = [floorTo(from, stepMicros.minute), -floorTo(-to, stepMicros.minute)]
  const [dayFrom, dayTo] = [floorTo(first, stepMicros.day), -floorTo(-end, stepMicros.day)]
  // only a complete day needs all its hours: PostgreSQL counts the minutes of a day in milliseconds for each server
  const hour = coarsest === 'day' ? stepMicros.day : stepMicros.hour
  const ofHours = { from: floorTo(first, hour), to: -floorTo(-end, hour) }
  const found = await readHoursAndDays(db, ofHours, { from: dayFrom, to: dayTo }, all)
  const { periods, besides } = planPeriods({ from: first, to: end, cutAt }, byTime(found.hours), byTime(found.days), coarsest)
  return {
    rows: readPeriodRows(db, periods, besides, modelsOnly ? models : all, trafficOnly ? 'none' : summariesOnly ? 'summaries' : 'complete'),
    coverage: () => readCoverage(db, periods, all, coarsest),
    from: periods[0]?.from ?? first,
    to: periods.at(-1)?.to ?? end,
    startOf(moment) {
      const period = periods.find((each) => each.from <= moment && moment < each.to)
      return period === undefined || period.step === 'minute' ? floorTo(moment, stepMicros.minute) : period.from
    },
  }
}

interface Plan {
  readonly periods: Period[]
  /** Hours that are read by their minutes, and have backfilled rows: these have no minutes. */
  readonly besides: readonly number[]
}

function planPeriods(
  { from, to, cutAt = from }: Window & Pick<PartsQuery, 'cutAt'>,
  hours: ReadonlyMap<number, readonly PeriodRows[]>,
  days: ReadonlyMap<number, readonly PeriodRows[]>,
  coarsest: MergedStep | 'minute',
): Plan {
  const periods: Period[] = []
  const besides: number[] = []
  const daysWithHours = new Set([...hours.keys()].map((hour) => floorTo(hour, stepMicros.day)))
  const add = (step: Period['step'], start: number, end: number) => {
    const last = periods.at(-1)
    if (step === 'minute' && last?.step === 'minute' && last.to === start) periods[periods.length - 1] = { ...last, to: end }
    else periods.push({ step, from: start, to: end })
  }
  for (let day = floorTo(from, stepMicros.day); day < to; day += stepMicros.day) {
    const dayEnd = day + stepMicros.day
    const ofDay = days.get(day) ?? []
    if (ofDay.length === 0 && !daysWithHours.has(day)) {
      add('minute', Math.max(day, from), Math.min(dayEnd, to))
      continue
    }
    const ofHours = Array.from({ length: 24 }, (_, h) => hours.get(day + h * stepMicros.hour) ?? [])
    const isWhole = from <= day && dayEnd <= to
    const noHours = ofHours.every((rows) => rows.length === 0) && ofDay.every(({ finer }) => finer === 0)
    if (ofDay.length > 0 && isMerged(ofDay) && (noHours || (isWhole && coarsest === 'day' && ofHours.every(isMerged)))) {
      add('day', day, dayEnd)
      continue
    }
    for (const [h, ofHour] of ofHours.entries()) {
      const hour = day + h * stepMicros.hour
      const hourEnd = hour + stepMicros.hour
      if (hourEnd <= from || hour >= to) continue
      const isGone = ofHour.length > 0 && ofHour.every(({ finer }) => finer === 0)
      const inside = coarsest !== 'minute' && from <= hour && hourEnd <= to && !(hour < cutAt && cutAt < hourEnd)
      if (ofHour.length > 0 && isMerged(ofHour) && (isGone || inside)) add('hour', hour, hourEnd)
      else {
        add('minute', Math.max(hour, from), Math.min(hourEnd, to))
        if (inside && ofHour.some(isBackfilled)) besides.push(hour)
      }
    }
  }
  return { periods, besides }
}

/** Whether the merged rows have all finer ones, or these are no longer kept. */
function isMerged(rows: readonly PeriodRows[]): boolean {
  return rows.every(({ finer, merged }) => merged !== null && (finer === 0 || finer === merged))
}

function isBackfilled({ role }: RollupKey): boolean {
  return role === 'backfill'
}

async function* readPeriodRows(
  db: Pick<Database, 'query'>,
  periods: readonly Period[],
  besides: readonly number[],
  models: readonly string[],
  columns: ColumnsRead,
): AsyncGenerator<readonly StoredRollup[]> {
  for (const batch of inBatches(periods, columns === 'none' ? periodsAtOnce : columnsAtOnce)) {
    if (batch.step !== 'minute') yield await readMerged(db, batch.step, batch.starts, models, columns)
    else yield* readMinutes(db, batch.from, batch.to, models, { columns })
  }
  if (besides.length > 0) yield (await readMerged(db, 'hour', besides, models, columns)).filter(isBackfilled)
}

type Batch = { readonly step: MergedStep; readonly starts: number[] } | (Window & { readonly step: 'minute' })

/** How many merged periods are read at once. */
const periodsAtOnce = 1000
/** Fewer with columns, which may have hundreds of kilobytes each. */
const columnsAtOnce = 24

function inBatches(periods: readonly Period[], atOnce: number): readonly Batch[] {
  const batches: Batch[] = []
  for (const { step, from, to } of periods) {
    const last = batches.at(-1)
    if (step === 'minute') batches.push({ step, from, to })
    else if (last !== undefined && last.step !== 'minute' && last.step === step && last.starts.length < atOnce) last.starts.push(from)
    else batches.push({ step, starts: [from] })
  }
  return batches
}

async function readCoverage(
  db: Pick<Database, 'query'>,
  periods: readonly Period[],
  models: readonly string[],
  coarsest: MergedStep | 'minute',
): Promise<MeasuredPeriod[]> {
  const parts: MeasuredPeriod[] = []
  for (const batch of inBatches(periods, periodsAtOnce)) {
    if (batch.step === 'minute') for (const part of await minuteCoverage(db, batch.from, batch.to, stepMicros[coarsest])) parts.push(part)
    else for (const part of await readMergedCoverage(db, batch.step, batch.starts, models)) parts.push(part)
  }
  return parts
}

/** By step of `size`. Those without anything are left out: a window may be centuries long. */
async function minuteCoverage(db: Pick<Database, 'query'>, from: number, to: number, size: number): Promise<MeasuredPeriod[]> {
  const around = await readAround(db, from, to)
  const minutes = new Set(around.written.flatMap(({ at }) => (from <= at && at < to ? [at] : [])))
  const measured = new Map<number, number>()
  for (const at of minutes) measured.set(floorTo(at, size), (measured.get(floorTo(at, size)) ?? 0) + 1)
  const missing = new Map<number, Window[]>()
  for (const gap of coverageOf(around.written, from, to, around.knownTo).missing) {
    for (let start = floorTo(gap.from, size); start < gap.to; start += size) {
      const part = { from: Math.max(gap.from, start), to: Math.min(gap.to, start + size) }
      missing.set(start, [...(missing.get(start) ?? []), part])
    }
  }
  return [...new Set([...measured.keys(), ...missing.keys()])]
    .toSorted((a, b) => a - b)
    .map((at) => ({ ...noModel, at, coverage: { minutes: measured.get(at) ?? 0, missing: missing.get(at) ?? [] } }))
}

/** The end of the last minute that servers have written at a moment. */
export function writtenUntil(moment: number): number {
  return floorTo(moment - writtenWithinMicros, minuteMicros)
}

/** The minutes that were written in a window and around it, and up to when they are known. */
export async function readAround(db: Pick<Database, 'query'>, from: number, to: number) {
  const { written, now } = await readWritten(db, from - lookBackMicros, to + lookBackMicros)
  // a server whose clock is ahead of the database's has written later minutes
  const last = written.reduce((latest, { at }) => Math.max(latest, at + minuteMicros), Number.NEGATIVE_INFINITY)
  return { written, knownTo: floorTo(Math.max(now - writtenWithinMicros, Math.min(last, to)), minuteMicros) }
}

function byTime(rows: readonly PeriodRows[]): Map<number, PeriodRows[]> {
  return Map.groupBy(rows, ({ at }) => at)
}
