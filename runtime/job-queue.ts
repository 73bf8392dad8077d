import type { ConstructorOptions, Job } from 'pg-boss'
import { PgBoss } from 'pg-boss'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import type { Config } from './config.ts'
import type { Database, EmbeddedDatabase } from './database.ts'
import { parseTarget } from './open-postgres.ts'
import { isUnavailable, postgresUnavailable } from './postgres-unavailable.ts'
import { sqlState } from './relation.ts'
import { processName } from './process-name.ts'

/** The schema that holds the jobs; it is made when jobs are first used. */
const schema = 'lockstep_jobs'
const connections = 4
const connectTimeoutMs = 3_000
/** A statement that takes longer is given up, and its connection with it: the server has gone silent. */
const silentMs = 15_000
/** How often the holder of a job says that it is alive, and sees whether the job is still its own. */
const touchMs = 2_000
const resultsAtOnce = 50
const jobsAtOnce = 500
const maxFailures = 10_000
const foreignKeyViolation = '23503'
const insufficientPrivilege = '42501'
const deleteTries = 10
const monthSeconds = 30 * 86_400

/**
 * Jobs that processes on any machine share, in PostgreSQL (pg-boss); those of the embedded database are its one process's own. A queue is there for one piece of work, or for
 * work of one sort for ever. The connections are its own, and outlive a signal that ends everything else: so that jobs can be handed back.
 */
export interface JobQueue {
  /** The names of the queues that there are. */
  queues(): Promise<string[]>
  /** Where it is there already, it stays as it is. */
  create(queue: string, options: QueueOptions): Promise<void>
  /** Jobs with an `id` that was there before, be it done or not, are passed over. */
  add(queue: string, jobs: readonly NewJob[]): Promise<void>
  /** The next job, for this process to hold; null where there is none. */
  take(queue: string): Promise<HeldJob | null>
  /** What one of the queue's jobs, done or not, was told to do; null where there is none. */
  anyOf(queue: string): Promise<unknown>
  /** Results that have come, each once. For the owner of a queue that hands them in. */
  results(queue: string): Promise<JobResult[]>
  /** The dead letters: jobs that were tried as often as they may be, for a month. */
  failures(queue: string): Promise<FailedJob[]>
  /** Gives jobs whose holders are gone to others. To be called now and then, by whoever needs it. */
  sweep(queue: string): Promise<void>
  /** Also where it is not there. */
  remove(queue: string): Promise<void>
  /** Waits for what is under way. */
  close(): Promise<void>
}

export interface QueueOptions {
  /** A job whose holder is not heard of for so long is given to another: 10 at least. */
  readonly heartbeatSeconds: number
  /** How often a job is tried again. */
  readonly retries: number
  /** How long that waits: at first `from`, then twice as long each time, `to` at most. Absent: a second. */
  readonly backoffSeconds?: { readonly from: number; readonly to: number }
  /** Of the jobs with one `key`, one is held at a time. Absent: any number. */
  readonly oneByKey?: true
  /** What jobs come to, their failure too, is handed in for the owner's `results`. */
  readonly results?: true
}

export interface NewJob {
  readonly data: object
  /** A UUID. */
  readonly id?: string
  readonly key?: string
}

export interface FailedJob {
  readonly data: unknown
  readonly why: string
  /** Of the error that was the reason; null where none was told. */
  readonly code: string | null
  readonly attempts: number
  readonly at: Date
}

export interface HeldJob {
  readonly data: unknown
  /** 0 for the first. */
  readonly attempt: number
  /** Aborted where the job has gone to another, or is gone with its queue. */
  readonly lost: AbortSignal
  /** Ends the job. @returns whether that was taken note of: not where its queue is gone */
  finish(result: object | null): Promise<boolean>
  /** For another to take, a moment later, or, at its last attempt, as a failure. */
  handBack(why: string, code?: string): Promise<void>
  /** Whether it is still this process's own. */
  isHeld(): Promise<boolean>
}

export type JobResult = { readonly result: unknown } | { readonly failed: unknown; readonly why: string }

/** @throws LockstepError `CONFIG_INVALID` where the database is embedded, `POSTGRES_UNAVAILABLE` */
export async function openJobQueue({ postgresUrl }: Pick<Config, 'postgresUrl'>): Promise<JobQueue> {
  if (postgresUrl === null) {
    throw new LockstepError(
      'CONFIG_INVALID',
      'Workers share their jobs through PostgreSQL, but the embedded database serves only one process. Set "LOCKSTEP_POSTGRES_URL".',
    )
  }
  const { url, server } = parseTarget(postgresUrl)
  const where = { connectionString: url, max: connections, connectionTimeoutMillis: connectTimeoutMs, query_timeout: silentMs }
  return await startJobQueue(where, (cause) => (isUnavailable(cause) ? postgresUnavailable(server, cause) : cause))
}

/** The jobs of the embedded database, for the process that owns it. */
export async function openEmbeddedJobQueue(db: EmbeddedDatabase): Promise<JobQueue> {
  return await startJobQueue({ db: { executeSql: (text, values) => db.statements(text, values) }, backend: 'pglite' }, (cause) => cause)
}

/** Whether there have ever been jobs in the database. */
export async function hasJobs(db: Pick<Database, 'query'>): Promise<boolean> {
  const [row] = await db.query<{ there: boolean }>(`SELECT to_regclass('${schema}.version') IS NOT NULL AS there`)
  return row?.there === true
}

async function startJobQueue(where: ConstructorOptions, explain: (cause: unknown) => unknown): Promise<JobQueue> {
  const boss = new PgBoss({
    ...where,
    schema,
    supervise: false,
    schedule: false,
    registerInstance: false,
    reindex: false,
    monitorVacuum: false,
    monitorIntervalSeconds: 1,
  })
  // what fails here has failed where it was asked for, too; a heartbeat is tried again
  boss.on('error', () => undefined)
  const attempt = async <T>(action: () => Promise<T>): Promise<T> => {
    try {
      return await action()
    } catch (cause) {
      throw explain(cause)
    }
  }
  try {
    await attempt(() => boss.start())
  } catch (error) {
    await boss.stop({ graceful: false }).catch(() => undefined)
    if (!isDenied(error)) throw error
    throw new LockstepError(
      'CONFIG_INVALID',
      `The jobs of workers need the schema "${schema}", which cannot be created: ${messageOf(error)}. Let the database's owner run this once, or grant CREATE on the database.`,
      { cause: error },
    )
  }

  const exists = async (queue: string): Promise<boolean> => (await boss.getQueue(queue)) !== null

  function hold(queue: string, job: Job): HeldJob {
    const lost = new AbortController()
    const { id, retryCount } = job
    const isHeld = async (): Promise<boolean> => {
      const touched = (await boss.touch(queue, { id, retryCount })) as { readonly affected?: number }
      return touched.affected === 1
    }
    const beat = async (): Promise<void> => {
      if (!(await isHeld())) lost.abort(new LockstepError('STOPPED', 'This process no longer owns the job.'))
    }
    // a beat that fails says nothing about the job
    const heart = setInterval(() => void beat().catch(() => undefined), touchMs)
    return {
      data: job.data,
      attempt: retryCount,
      lost: lost.signal,
      isHeld: () => attempt(isHeld),
      finish: (result) =>
        attempt(async () => {
          clearInterval(heart)
          if (!(await exists(queue))) return false
          try {
            if (result !== null) await boss.send(resultsOf(queue), { result })
          } catch (error) {
            if (await exists(queue)) throw error
            return false
          }
          // where that fails it is done twice, and the second result passed over
          await boss.complete(queue, { id, retryCount }).catch(() => undefined)
          return true
        }),
      handBack: (why, code) =>
        attempt(async () => {
          clearInterval(heart)
          await boss.fail(queue, { id, retryCount }, { why, ...(code !== undefined && { code }), by: processName() })
        }),
    }
  }

  return {
    queues: () => attempt(async () => (await boss.getQueues()).map(({ name }) => name).filter((name) => !name.endsWith(resultsOf('')))),
    create: (queue, { heartbeatSeconds, retries, backoffSeconds, oneByKey, results }) =>
      attempt(async () => {
        if (results === true) await boss.createQueue(resultsOf(queue), { retentionSeconds: monthSeconds })
        await boss.createQueue(queue, {
          ...(results === true && { deadLetter: resultsOf(queue) }),
          ...(oneByKey === true && { policy: 'singleton' }),
          ...(backoffSeconds !== undefined && { retryBackoff: true, retryDelayMax: backoffSeconds.to }),
          heartbeatSeconds,
          expireInSeconds: 86_399,
          retentionSeconds: monthSeconds,
          deleteAfterSeconds: monthSeconds,
          retryLimit: retries,
          retryDelay: backoffSeconds?.from ?? 1,
        })
      }),
    add: (queue, jobs) =>
      attempt(async () => {
        const rows = jobs.map(({ data, id, key }) => ({
          data,
          ...(id !== undefined && { id }),
          ...(key !== undefined && { singletonKey: key }),
        }))
        for (let at = 0; at < rows.length; at += jobsAtOnce) await boss.insert(queue, rows.slice(at, at + jobsAtOnce))
      }),
    take: (queue) =>
      attempt(async () => {
        const [job] = await boss.fetch<object>(queue)
        return job === undefined ? null : hold(queue, job)
      }),
    anyOf: (queue) => attempt(async () => (await boss.findJobs(queue, { limit: 1 }))[0]?.data ?? null),
    results: (queue) =>
      attempt(async () => {
        const from = resultsOf(queue)
        const come = await boss.fetch<{ readonly result?: unknown }>(from, { batchSize: resultsAtOnce, includeMetadata: true })
        if (come.length > 0)
          await boss.deleteJob(
            from,
            come.map(({ id }) => id),
          )
        return come.map(({ data, sourceId, sourceOutput }) =>
          sourceId === null ? { result: data.result } : { failed: data, why: whyOf(sourceOutput) },
        )
      }),
    failures: (queue) =>
      attempt(async () => {
        const jobs = await boss.findJobs<object>(queue, { limit: maxFailures })
        return jobs.flatMap(({ state, data, output, retryCount, completedOn }) =>
          state === 'failed'
            ? [{ data, why: whyOf(output), code: codeOf(output), attempts: retryCount + 1, at: completedOn ?? new Date(0) }]
            : [],
        )
      }),
    sweep: (queue) => attempt(() => boss.supervise(queue)),
    remove: (queue) =>
      attempt(async () => {
        await deleteQueue(boss, queue)
        await deleteQueue(boss, resultsOf(queue))
      }),
    close: () => boss.stop({ graceful: false }),
  }
}

/** A job that is added while a queue is deleted keeps it: it goes with the next try. */
async function deleteQueue(boss: PgBoss, queue: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await boss.deleteQueue(queue)
    } catch (error) {
      if (sqlState(error) !== foreignKeyViolation || tries === deleteTries) throw error
    }
  }
}

function resultsOf(queue: string): string {
  return `${queue}.results`
}

function whyOf(output: object | null): string {
  if (output !== null && 'why' in output) return String(output.why)
  return output !== null && 'message' in output ? String(output.message) : 'its worker stopped responding'
}

function codeOf(output: object | null): string | null {
  return output !== null && 'code' in output && typeof output.code === 'string' ? output.code : null
}

function isDenied(error: unknown): boolean {
  return sqlState(error) === insufficientPrivilege
}
