import { z } from 'zod'
import { LockstepError } from '../../kernel/errors.ts'
import { minuteMicros } from '../../kernel/values/time.ts'
import { dayOf, rollupPartitions } from '../day-partitions.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { JobKind } from '../../runtime/jobs/job-kind.ts'
import type { JobKindName } from '../../runtime/jobs/job-kinds.ts'
import type { RollupDays } from '../../runtime/settings/variables.ts'
import { coverageOf, joinCoverage } from './coverage.ts'
import type { PeriodRows, StoredRollup } from './merged-rollups.ts'
import { readMerged, readPeriods, RollupMerger, stepMicros, writeMerged } from './merged-rollups.ts'
import { readMinutes } from './minute-rollups.ts'
import { decodeNamed } from './named-rollup.ts'
import { readAround } from './read-parts.ts'
import { TrafficSummary } from './traffic-summary.ts'

/** The job that merges rollups, and the key of its schedule. */
export const mergeRollupsKind = 'merge-rollups' satisfies JobKindName
export const mergeRollupsKey = 'rollups'

/**
 * How long after its end an hour is merged: its last minutes are written by then. Later ones are merged by the next
 * job.
 */
const settledMicros = 2 * minuteMicros

/** Merges rollups, and deletes old ones: of all workers, one does it every hour. */
export function mergeRollupsJobs({
  db,
  days,
  clock,
}: {
  readonly db: Database
  readonly days: RollupDays
  readonly clock: () => number
}): JobKind {
  return {
    name: mergeRollupsKind,
    spec: z.object({}),
    retries: 3,
    backoffSeconds: { from: 10, to: 300 },
    keepDays: 1,
    schedules: () => Promise.resolve([{ key: mergeRollupsKey, subject: mergeRollupsKey, cron: '4 * * * *', spec: {} }]),
    async run(_job, _chunk, { signal }) {
      const release = await lockMerging(db)
      try {
        const { damaged, ...merged } = await mergeRollups(db, days, clock(), signal)
        if (damaged[0] !== undefined) throw damagedRows(damaged[0], damaged.length - 1)
        return merged
      } finally {
        await release()
      }
    },
  }
}

/** The advisory lock for changes of merged rollups. */
const mergingLocks = 0x6c73_526f

/** Takes the lock of merges: waits for a running merge, and blocks others until the returned function is called. */
export function lockMerging(db: Pick<Database, 'lock'>): Promise<() => Promise<void>> {
  return db.lock(mergingLocks, 0)
}

function damagedRows(first: LockstepError, others: number): LockstepError {
  const more = others === 0 ? '' : ` ${others} further ${others === 1 ? 'row is' : 'rows are'} damaged, too.`
  return new LockstepError('ROLLUP_DAMAGED', `${first.message}${more} All other rows were merged.`, {
    details: { ...first.details, others },
  })
}

/**
 * Merges the hours and days that are over and incomplete. It may run at any time, more than once and in several
 * processes: a merged row replaces the one before, and is complete if it has as many parts as there are rows.
 *
 * @param now epoch microseconds
 * @returns `damaged`: the errors of rows that cannot be read. They stay, and their hours and days incomplete
 */
export async function mergeRollups(
  db: Database,
  days: RollupDays,
  now: number,
  signal?: AbortSignal,
): Promise<{ readonly hours: number; readonly days: number; readonly damaged: readonly LockstepError[] }> {
  const damaged: LockstepError[] = []
  const today = dayOf(now) * stepMicros.day
  let hours = 0
  const hoursFrom = today - (days.minute + 1) * stepMicros.day
  for (const period of await readPeriods(db, 'hour', hoursFrom, Math.floor((now - settledMicros) / stepMicros.hour) * stepMicros.hour)) {
    if (!lacksRows(period)) continue
    signal?.throwIfAborted()
    await mergeHour(db, period, damaged)
    hours++
  }
  let merged = 0
  const daysTo = Math.floor((now - settledMicros) / stepMicros.day) * stepMicros.day
  for (const period of await readPeriods(db, 'day', today - days.hour * stepMicros.day + stepMicros.day, daysTo)) {
    if (!lacksRows(period)) continue
    signal?.throwIfAborted()
    await mergeDay(db, period, damaged)
    merged++
  }
  await forgetOld(db, days, today)
  return { hours, days: merged, damaged }
}

function lacksRows({ finer, merged }: PeriodRows): boolean {
  return finer > 0 && finer !== merged
}

async function mergeHour(db: Database, period: PeriodRows, damaged: LockstepError[]): Promise<void> {
  const { at, model } = period
  const end = at + stepMicros.hour
  const merger = new RollupMerger()
  let parts = 0
  for await (const rows of readMinutes(db, at, end, [model], { only: period })) {
    for (const row of rows) if (addReadable(merger, row, damaged)) parts++
  }
  const { traffic, columns } = merger
  const around = model === '' ? await readAround(db, at, end) : null
  const coverage = around === null ? null : coverageOf(around.written, at, end, around.knownTo)
  // a row that is damaged, or that a later version wrote, stays among the minutes, which are read in place of the hour
  await writeMerged(db, 'hour', period, { parts: parts - merger.unreadable, traffic, columns, coverage })
}

async function mergeDay(db: Database, period: PeriodRows, damaged: LockstepError[]): Promise<void> {
  const merger = new RollupMerger()
  const hours = Array.from({ length: 24 }, (_, h) => period.at + h * stepMicros.hour)
  const coverages: NonNullable<StoredRollup['coverage']>[] = []
  let parts = 0
  for (const row of await readMerged(db, 'hour', hours, [period.model])) {
    if (row.version !== period.version || row.role !== period.role) continue
    if (!addReadable(merger, row, damaged)) continue
    parts += row.parts
    if (row.coverage !== null) coverages.push(row.coverage)
  }
  const { traffic, columns } = merger
  const coverage = period.model === '' || coverages.length > 0 ? joinCoverage(coverages) : null
  await writeMerged(db, 'day', period, { parts, traffic, columns, coverage })
}

/** @returns false: the row is damaged, and nothing of it was added */
function addReadable(merger: RollupMerger, row: StoredRollup, damaged: LockstepError[]): boolean {
  try {
    decodeNamed(row, (each) => {
      // the merger adds while it reads: without this check a damaged row would be added in part
      TrafficSummary.decode(each.traffic)
      merger.add(each)
    })
    return true
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    damaged.push(error)
    return false
  }
}

async function forgetOld(db: Database, days: RollupDays, today: number): Promise<void> {
  await rollupPartitions.drop(db, dayOf(today) - days.minute)
  for (const step of ['hour', 'day'] as const) {
    await db.query(`DELETE FROM lockstep.merged_rollups WHERE step = '${step}' AND at < to_timestamp($1::float8 / 1000000)`, [
      today - days[step] * stepMicros.day,
    ])
  }
}
