import type { Database } from '../../runtime/postgres/database.ts'
import type { StreamLag } from '../../runtime/streams/stream-consumer.ts'

/** A process that has not written for so long no longer runs the pipeline. */
const seenSeconds = 30

/** How a pipeline runs on all processes together. */
export interface PipelineActivity {
  /** How many processes run it. */
  readonly workers: number
  /** The number of messages that wait, or that a process has taken; null: no process has reported it recently. */
  readonly lag: StreamLag | null
  /** Messages answered per second, over the last five minutes. */
  readonly perSecond: number
  readonly oldestSeconds: number
  /** Why it waits, on one process at least; null: it does not. */
  readonly failing: string | null
  readonly lastError: { readonly text: string; readonly at: Date } | null
}

interface ActivityRow {
  readonly pipeline: string
  readonly workers: number
  readonly waiting: number | null
  readonly pending: number | null
  readonly perSecond: number
  readonly oldestSeconds: number
  readonly failing: string | null
  readonly error: string | null
  readonly errorAt: Date | null
}

/** By pipeline; those that no process ran in the last day are left out. @param now epoch microseconds */
export async function readPipelineActivity(db: Pick<Database, 'query'>, now: number): Promise<Map<string, PipelineActivity>> {
  const rows = await db.query<ActivityRow>(
    `with known as (
      select *, seen_at > $1::timestamptz - make_interval(secs => $2) as seen,
        seen_at = max(seen_at) over (partition by pipeline, process) as newest
      from lockstep.pipeline_minutes where minute > $1::timestamptz - interval '1 day' and minute <= $1
    )
    select pipeline, (count(distinct process) filter (where seen))::int4 as workers,
      (array_agg(waiting order by seen_at desc) filter (where waiting is not null and seen))[1]::float8 as waiting,
      (array_agg(pending order by seen_at desc) filter (where pending is not null and seen))[1]::float8 as pending,
      coalesce(sum(answered) filter (where minute >= date_trunc('minute', $1::timestamptz) - interval '4 minutes'), 0)::float8
        / extract(epoch from $1::timestamptz - date_trunc('minute', $1::timestamptz) + interval '4 minutes')::float8 as "perSecond",
      coalesce(max(oldest_seconds) filter (where seen), 0) as "oldestSeconds",
      (array_agg(failing order by seen_at desc) filter (where failing is not null and seen and newest))[1] as failing,
      (array_agg(error order by error_at desc) filter (where error is not null))[1] as error, max(error_at) as "errorAt"
    from known group by pipeline`,
    [new Date(now / 1000), seenSeconds],
  )
  return new Map(
    rows.map(({ pipeline, waiting, pending, error, errorAt, ...rest }) => [
      pipeline,
      {
        ...rest,
        lag: waiting === null || pending === null ? null : { waiting, pending },
        lastError: error === null || errorAt === null ? null : { text: error, at: errorAt },
      },
    ]),
  )
}

/** How one pipeline runs; on no process, if none has written of it. @param now epoch microseconds */
export async function activityOf(
  db: Pick<Database, 'query'>,
  pipeline: string,
  now: number,
): Promise<Pick<PipelineActivity, 'workers' | 'lag' | 'failing'>> {
  const { workers, lag, failing } = (await readPipelineActivity(db, now)).get(pipeline) ?? { workers: 0, lag: null, failing: null }
  return { workers, lag, failing }
}

export interface PipelineMinute {
  readonly minute: Date
  /** null, as all others: no process ran it. */
  readonly answered: number | null
  readonly dead: number | null
  readonly waiting: number | null
  readonly oldestSeconds: number | null
}

/** The work of all processes, by complete minute. @param window epoch microseconds */
export async function readPipelineMinutes(
  db: Pick<Database, 'query'>,
  pipeline: string,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<PipelineMinute[]> {
  return await db.query<PipelineMinute>(
    `select minute, sum(answered)::float8 as answered, sum(dead)::float8 as dead, max(waiting)::float8 as waiting,
      max(oldest_seconds) as "oldestSeconds"
    from generate_series(date_trunc('minute', $2::timestamptz), date_trunc('minute', $3::timestamptz) - interval '1 minute', '1 minute')
      as minutes (minute)
    left join (select * from lockstep.pipeline_minutes where pipeline = $1) m using (minute)
    group by minute order by minute`,
    [pipeline, new Date(from / 1000), new Date(to / 1000)],
  )
}
