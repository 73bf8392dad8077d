import type { z } from 'zod'
import type { JobStep } from '../../migrations/schema.ts'
import type { LockstepError } from '../../kernel/errors.ts'
import type { Span } from '../tracing/span.ts'

/**
 * One kind of work that processes share. A job is a spec; the plan cuts it into chunks; any worker runs any chunk; the
 * worker of the last chunk runs the finish.
 *
 *     plan -> chunk 0, chunk 1, chunk 2 … -> finish          after a failure or a cancel: clean
 *
 * Every step may run more than once, also at the same time in two processes: a worker that is killed, or is taken for
 * dead, leaves its step to another. So the effects of a step must be idempotent. Plan, chunk data and results are JSON.
 */
export interface JobKind<Spec = unknown, Plan = unknown, Chunk = unknown, Result extends object | null = object | null> {
  /** As people type it: `backfill`. */
  readonly name: string
  readonly spec: z.ZodType<Spec>
  /** How often a step is tried again, including after a worker that died. A day of an outage does not count. */
  readonly retries: number
  /** How long a retry waits: at first `from`, then twice as long each time, `to` at most. */
  readonly backoffSeconds: { readonly from: number; readonly to: number }
  /** After this long without a heartbeat, a step goes to another worker. Default: 30. */
  readonly leaseSeconds?: number
  /** Whether its jobs have to end by a moment. A worker runs one beside its other jobs. Default: false. */
  readonly urgent?: boolean
  /**
   * How long ended jobs stay in the history. Default: 30. Failed ones stay for 30 at least, the newest of each key
   * always.
   */
  readonly keepDays?: number
  /**
   * The scope whose jobs this process can do now. Absent: it can do all. While it throws, as a store is unavailable, no
   * job of the kind is claimed, and none uses up its attempts.
   */
  scope?(): Promise<string>
  /** Instead of one scope: all whose jobs this process can do now. A schedule names the scope of its jobs. */
  scopes?(): Promise<readonly string[]>
  /** The schedules whose jobs are to begin. Every worker asks once a second; each instant has one job. */
  schedules?(): Promise<readonly JobSchedule<Spec>[]>
  /** Cuts a job into chunks. Absent: it has one, without data. */
  plan?(job: RunningJob<Spec>, step: StepContext): Promise<PlannedJob<Plan, Chunk>>
  /** @returns what is kept in the history: small, and without keys of entities. Its numbers are summed up by job */
  run(job: RunningJob<Spec, Plan>, chunk: Chunk, step: StepContext): Promise<Result>
  /**
   * Removes what a chunk has left behind, if its job was cancelled or failed before the chunk was written down: the
   * clean does not know of it.
   */
  drop?(job: RunningJob<Spec, Plan>, result: Result): Promise<void>
  /** Runs after all chunks, with their results in order. @returns the result of the job */
  finish?(job: RunningJob<Spec, Plan>, results: readonly Result[], step: StepContext): Promise<object | null>
  /**
   * Removes what a job has left behind that failed or was cancelled; steps that still run may end after it. Where it
   * fails it is tried again, at most once an hour in the end, for as long as the job is kept.
   */
  clean?(job: RunningJob<Spec, Plan | null>, results: readonly Result[], step: StepContext): Promise<void>
  /** Whether an error ends the job at once. Default: a `LockstepError`, unless it is `INTERNAL` or temporary. */
  isFinal?(error: unknown): boolean
  /** What a step is, for logs. Default: `chunk 3 of 8 of backfill 12 (airport_delays@1)`. */
  describe?(job: RunningJob<Spec, Plan | null>, step: { readonly step: JobStep; readonly number: number }): string
}

/** The chunks at once, stored with the plan in one transaction; or in batches, which must be the same each time. */
export interface PlannedJob<Plan = unknown, Chunk = unknown> {
  /** What the chunks share. */
  readonly plan: Plan
  readonly chunks: readonly Chunk[] | AsyncIterable<readonly Chunk[]>
}

export interface JobSchedule<Spec> {
  /** Which of the kind's schedules it is. */
  readonly key: string
  readonly subject: string
  /** Absent: that of the kind. */
  readonly scope?: string
  /** Five fields of cron, in UTC. */
  readonly cron: string
  readonly spec: Spec
}

/** A job as its kind sees it. */
export interface RunningJob<Spec, Plan = unknown> {
  readonly id: number
  readonly subject: string
  readonly scope: string
  /** The instant of its schedule, epoch microseconds. */
  readonly moment: number | null
  readonly chunks: number
  readonly spec: Spec
  readonly plan: Plan
}

export interface StepContext {
  /**
   * Aborted when this process has to end, or the step is no longer its own: the job was cancelled, or another has
   * it.
   */
  readonly signal: AbortSignal
  /** How others call this process: `host:pid`. */
  readonly worker: string
  /** 0 for the first. */
  readonly attempt: number
  /** Of the step; undefined: it is not recorded. */
  readonly span?: Span | undefined
  /**
   * Tells people how far the step is; it is written down with the next heartbeat.
   *
   * @param total 0: there is nothing to count
   * @param what which part of the step it is, where the step has several
   */
  progress(done: number, total: number, what?: string): void
  /** Asks the database whether the job still runs and the step is this process's own. */
  isHeld(): Promise<boolean>
}

/** The present work of a step: `{ what: 'evaluation', done: 1200, total: 5000 }`. */
export interface Doing {
  readonly what: string
  readonly done: number
  /** 0: there is nothing to count. */
  readonly total: number
}

/** An event of a step in this process. */
export type JobEvent =
  | (StepEvent & { readonly type: 'taken' })
  | (StepEvent & { readonly type: 'done'; readonly seconds: number })
  /**
   * `handed back`: another worker takes it. `failed`: no try worked, and the job has failed. `lost`: another worker has
   * it now, or the job has ended.
   */
  | (StepEvent & { readonly type: 'handed back' | 'failed' | 'lost'; readonly error: string })
  /** A store is down, and jobs wait for it. */
  | { readonly type: 'unavailable'; readonly error: string }
  /** Jobs wait of a kind that this version does not know. */
  | { readonly type: 'unknown kind'; readonly kind: string }

interface StepEvent {
  readonly kind: string
  readonly job: number
  /** The step, for people. */
  readonly what: string
}

export interface JobError {
  readonly code: LockstepError['code']
  readonly message: string
  readonly details?: Readonly<Record<string, unknown>>
}
