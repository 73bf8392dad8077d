import { z } from 'zod'
import type { OnlineStore } from '../online/store.ts'
import type { Catalog } from '../registry/catalog.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { endAbandonedJobs, forgetJobs } from '../runtime/jobs/forget-jobs.ts'
import type { JobKind } from '../runtime/jobs/job-kind.ts'
import type { JobKindName } from '../runtime/jobs/job-kinds.ts'
import { forgetErased } from './erase/forget-erased.ts'
import { finishErasures, pendingErasures } from './erase/finish-erasures.ts'
import type { PruneOptions } from './runs/prune-runs.ts'
import { pruneRuns } from './runs/prune-runs.ts'
import { hasRemovals, workOnRemovals } from './sources/removals.ts'

const waitMs = 1_000

export interface HousekeepingOptions {
  /** `FailoverOptions.replayMs` */
  readonly replayMs?: number | undefined
  /** Whether to delete old records of runs and jobs, too. */
  readonly prune: boolean
  /** Epoch milliseconds. */
  readonly nowMs: number
  readonly signal?: AbortSignal
}

/**
 * The periodic clean-up, by any number of processes: deletes the keys of retired views, finishes erasures, and deletes
 * old records of runs. Without work to do all but `prune` is cheap.
 */
export async function runHousekeeping(
  db: Database,
  store: OnlineStore,
  catalog: Pick<Catalog, 'views' | 'online'>,
  { replayMs, prune, nowMs, signal }: HousekeepingOptions,
): Promise<void> {
  const stop = signal === undefined ? {} : { signal }
  if (await hasRemovals(db)) await workOnRemovals(db, store, { waitMs, ...stop })
  if ((await pendingErasures(db)) > 0) await finishErasures(db, store, catalog, { waitMs, moment: Date.now() * 1000, replayMs, ...stop })
  await forgetErased(db, store, { replayMs, nowMs })
  if (prune) await forgetOld(db, store, { replayMs, nowMs })
}

/** The deletion of old records as a job: of all workers, one does it every ten minutes. */
export function housekeeping({
  db,
  store,
  clock,
  replayMs,
}: {
  readonly db: Database
  readonly store: OnlineStore
  readonly clock: () => number
  readonly replayMs: number
}): JobKind {
  return {
    name: 'housekeeping' satisfies JobKindName,
    spec: z.object({}),
    retries: 2,
    backoffSeconds: { from: 10, to: 60 },
    keepDays: 1,
    scope: () => store.identity(),
    schedules: () => Promise.resolve([{ key: 'old records', subject: 'old records', cron: '*/10 * * * *', spec: {} }]),
    run: async () => await forgetOld(db, store, { replayMs, nowMs: Math.floor(clock() / 1000) }),
  }
}

async function forgetOld(
  db: Database,
  store: OnlineStore,
  options: PruneOptions,
): Promise<{ readonly runs: number; readonly jobs: number }> {
  await endAbandonedJobs(db)
  return { runs: await pruneRuns(db, store, options), jobs: await forgetJobs(db) }
}
