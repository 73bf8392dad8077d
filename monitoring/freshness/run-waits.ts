import type { Database } from '../../runtime/postgres/database.ts'

/** How long rows waited for a run at most: from the begin of one run to the end of the next one, seconds. */
export interface RunWaits {
  readonly runs: number
  readonly p50: number | null
  readonly p99: number | null
}

/** The waits of a view's runs in the day before `now`, epoch microseconds. */
export async function readRunWaits(db: Pick<Database, 'query'>, view: string, now: number): Promise<RunWaits> {
  const [row] = await db.query<{ runs: number; waits: readonly number[] | null }>(
    `select count(*)::int as runs,
       percentile_cont(array[0.5, 0.99]) within group (order by extract(epoch from finished_at - previous)::float8) as waits
     from (
       select finished_at, lag(started_at) over (partition by store order by started_at) as previous from lockstep.materialization_runs
       where view = $1 and finished_at > $2::timestamptz - interval '1 day' and finished_at <= $2::timestamptz
     ) runs where previous is not null`,
    [view, new Date(now / 1000)],
  )
  return { runs: row?.runs ?? 0, p50: row?.waits?.[0] ?? null, p99: row?.waits?.[1] ?? null }
}
