import { measuredText } from '../../kernel/values/duration.ts'
import type { Database } from '../../runtime/postgres/database.ts'

/** Fewer may be runs whose process was killed, or that are under way. */
const minRuns = 3

/** A view whose runs fail one after the other. */
export interface FailingView {
  /** How many runs in a row have not succeeded: all since the last one that did. */
  readonly runs: number
  /** Since the first of them began, by the database's clock. */
  readonly seconds: number
}

/**
 * Those of the views whose last three runs into a store, or more, have not succeeded. Backfills do not count: they
 * report their own failures.
 */
export async function readFailingViews(
  db: Pick<Database, 'query'>,
  store: string,
  views: readonly string[],
): Promise<ReadonlyMap<string, FailingView>> {
  if (views.length === 0) return new Map()
  const rows = await db.query<{ view: string; runs: string; seconds: number }>(
    `SELECT v.view, f.runs::text AS runs, f.seconds
     FROM unnest($1::text[]) AS v(view)
     CROSS JOIN LATERAL (
       SELECT coalesce((
         SELECT id FROM lockstep.materialization_runs r
         WHERE r.view = v.view AND r.store = $2 AND r.finished_at IS NOT NULL ORDER BY id DESC LIMIT 1), 0) AS id
     ) AS succeeded
     CROSS JOIN LATERAL (
       SELECT count(*) AS runs, extract(epoch FROM clock_timestamp() - min(started_at))::float8 AS seconds
       FROM lockstep.materialization_runs r
       WHERE r.view = v.view AND r.store = $2 AND r.id > succeeded.id
         AND NOT EXISTS (
           SELECT FROM lockstep.jobs j
           WHERE j.kind = 'backfill' AND j.scope = $2 AND j.subject = r.view AND j.plan -> 'run' ->> 'id' = r.id::text)
     ) AS f
     WHERE f.runs >= ${minRuns}`,
    [views, store],
  )
  return new Map(rows.map(({ view, runs, seconds }) => [view, { runs: Number(runs), seconds: Math.max(0, seconds) }]))
}

/** A sentence that says what to do. */
export function failingText(view: string, { runs, seconds }: FailingView): string {
  return `The view "${view}" is not kept current: its last ${runs} runs have failed, and the first of them began ${measuredText(Math.ceil(seconds))} ago. See why in the log of the worker, or run "lockstep materialize ${view}".`
}
