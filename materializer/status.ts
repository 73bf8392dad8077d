import type { ViewPlan } from '../kernel/view-plan.ts'
import type { Database } from '../runtime/postgres/database.ts'

/** The last finished run of one view into one store. */
export interface MaterializationStatus {
  /** `airport_delays@1` */
  readonly view: string
  readonly fingerprint: string
  /** `OnlineStore.identity` of the store. */
  readonly store: string
  readonly rows: number
  readonly entities: number
  /** Epoch microseconds that the run counted as now. */
  readonly moment: number
  /** Rows with an arrival below it are in the store. */
  readonly frontier: number
  readonly startedAt: Date
  readonly finishedAt: Date
  /** How long ago it finished, in milliseconds. */
  readonly ageMs: number
}

/**
 * The last runs of materializations, by view and store, newest first.
 *
 * @param nowMs epoch milliseconds
 */
export async function materializationStatus(db: Database, nowMs: number): Promise<MaterializationStatus[]> {
  const runs = await db.kysely
    .selectFrom('lockstep.materialization_runs')
    .distinctOn(['view', 'fingerprint', 'store'])
    .select(['id', 'view', 'fingerprint', 'store', 'rows', 'entities', 'moment', 'to_xid', 'started_at', 'finished_at'])
    .where('finished_at', 'is not', null)
    .orderBy('view')
    .orderBy('fingerprint')
    .orderBy('store')
    .orderBy('finished_at', 'desc')
    .execute()
  const statuses: MaterializationStatus[] = []
  for (const run of runs) {
    if (run.finished_at === null) continue
    statuses.push({
      view: run.view,
      fingerprint: run.fingerprint,
      store: run.store,
      rows: Number(run.rows),
      entities: Number(run.entities),
      moment: Number(run.moment),
      frontier: Number(run.to_xid),
      startedAt: run.started_at,
      finishedAt: run.finished_at,
      ageMs: Math.max(0, nowMs - run.finished_at.getTime()),
    })
  }
  return statuses.sort((a, b) => b.finishedAt.getTime() - a.finishedAt.getTime())
}

/** Finds the newest run of a view as it is defined. @param runs newest first */
export function lastRuns(
  runs: readonly MaterializationStatus[],
): (plan: Pick<ViewPlan, 'id' | 'fingerprint'>) => MaterializationStatus | null {
  const key = (view: string, fingerprint: string): string => `${view} ${fingerprint}`
  const newest = new Map(runs.toReversed().map((run) => [key(run.view, run.fingerprint), run]))
  return ({ id, fingerprint }) => newest.get(key(id, fingerprint)) ?? null
}

/**
 * When the last run of a view before a moment ended, RFC 3339; null: none of those that are still recorded.
 *
 * @param now epoch microseconds
 */
export async function lastRunAt({ kysely }: Pick<Database, 'kysely'>, view: string, now: number): Promise<string | null> {
  const run = await kysely
    .selectFrom('lockstep.materialization_runs')
    .select((select) => select.fn.max('finished_at').as('at'))
    .where('view', '=', view)
    .where('finished_at', '<=', new Date(now / 1000))
    .executeTakeFirst()
  return run?.at?.toISOString() ?? null
}
