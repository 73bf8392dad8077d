import { messageOf } from '../../kernel/errors.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { uniqueProcessName } from '../../runtime/process-name.ts'
import type { StreamLag } from '../../runtime/streams/stream-consumer.ts'
import type { PipelineMetrics } from './pipeline-metrics.ts'

const minuteMs = 60_000
/** Older minutes are deleted. */
export const keptDays = 30
const maxErrorLength = 1_000

/** The work of a process for a pipeline since its last write. */
interface Done {
  answered: number
  dead: number
  failures: number
  lag: StreamLag | null
  oldestSeconds: number
  failing: string | null
  error: { readonly text: string; readonly at: Date } | null
}

/** The metrics of pipelines, which are also added up by minute in `lockstep.pipeline_minutes`. */
export interface PipelineMinutes {
  readonly metrics: PipelineMetrics
  /** From now on this process runs the pipeline. */
  began(pipeline: string): void
  /** Called when the process no longer runs the pipeline. The next `write` writes the rest of its work. */
  ended(pipeline: string): void
  /** Adds what was done to the present minute. @throws what the database throws; then it is added by the next call */
  write(db: Pick<Database, 'query'>): Promise<void>
}

/** @param clock epoch microseconds */
export function createPipelineMinutes(metrics: PipelineMetrics, clock: () => number): PipelineMinutes {
  const process = uniqueProcessName()
  const all = new Map<string, Done>()
  const over = new Set<string>()
  let cleanedMinute = Number.NEGATIVE_INFINITY

  const change = (pipeline: string, by: (done: Done) => void): void => {
    const done = all.get(pipeline)
    if (done !== undefined) by(done)
  }

  return {
    metrics: {
      ...metrics,
      messages(pipeline, counts) {
        metrics.messages(pipeline, counts)
        change(pipeline, (done) => {
          done.answered += counts.answered
          done.dead += counts.dead
        })
      },
      lag(pipeline, lag) {
        metrics.lag(pipeline, lag)
        change(pipeline, (done) => void (done.lag = lag))
      },
      age(pipeline, seconds) {
        metrics.age(pipeline, seconds)
        change(pipeline, (done) => void (done.oldestSeconds = Math.max(done.oldestSeconds, seconds)))
      },
      failure(pipeline, error) {
        metrics.failure(pipeline, error)
        const text = messageOf(error).replaceAll('\0', '\uFFFD').slice(0, maxErrorLength).toWellFormed()
        change(pipeline, (done) => {
          done.failures++
          done.failing = text
          done.error = { text, at: new Date(clock() / 1000) }
        })
      },
      waiting(pipeline, reason) {
        metrics.waiting(pipeline, reason)
        if (reason === null) change(pipeline, (done) => void (done.failing = null))
      },
    },
    began(pipeline) {
      over.delete(pipeline)
      if (!all.has(pipeline)) all.set(pipeline, { ...nothingDone, lag: null, failing: null, error: null })
    },
    ended: (pipeline) => void over.add(pipeline),
    async write(db) {
      if (all.size === 0) return
      const nowMs = clock() / 1000
      const minute = Math.floor(nowMs / minuteMs)
      const written = [...all].map(([pipeline, done]) => ({ pipeline, ...done }))
      await db.query(upsert, [
        new Date(minute * minuteMs),
        process,
        new Date(nowMs),
        JSON.stringify(written.map(({ lag, error, ...done }) => ({ ...done, ...lag, error: error?.text, errorAt: error?.at }))),
      ])
      for (const { pipeline, answered, dead, failures, error } of written) {
        change(pipeline, (done) => {
          done.answered -= answered
          done.dead -= dead
          done.failures -= failures
          done.oldestSeconds = 0
          done.lag = null
          if (done.error === error) done.error = null
        })
        if (over.has(pipeline)) all.delete(pipeline)
      }
      over.clear()
      if (minute < cleanedMinute + 60) return
      cleanedMinute = minute
      await db.query('delete from lockstep.pipeline_minutes where minute < $1::timestamptz - make_interval(days => $2::int)', [
        new Date(nowMs),
        keptDays,
      ])
    },
  }
}

const nothingDone = { answered: 0, dead: 0, failures: 0, oldestSeconds: 0 } as const

const upsert = `
  insert into lockstep.pipeline_minutes as m (pipeline, minute, process, seen_at, answered, dead, failures, waiting, pending,
    oldest_seconds, failing, error, error_at)
  select pipeline, $1, $2, $3, answered, dead, failures, waiting, pending, "oldestSeconds", failing, error, "errorAt"
  from jsonb_to_recordset($4::jsonb) as done (pipeline text, answered int8, dead int8, failures int8, waiting int8, pending int8,
    "oldestSeconds" float8, failing text, error text, "errorAt" timestamptz)
  on conflict (pipeline, minute, process) do update set
    seen_at = excluded.seen_at,
    answered = m.answered + excluded.answered,
    dead = m.dead + excluded.dead,
    failures = m.failures + excluded.failures,
    waiting = coalesce(excluded.waiting, m.waiting),
    pending = coalesce(excluded.pending, m.pending),
    oldest_seconds = greatest(m.oldest_seconds, excluded.oldest_seconds),
    failing = excluded.failing,
    error = coalesce(excluded.error, m.error),
    error_at = coalesce(excluded.error_at, m.error_at)`
