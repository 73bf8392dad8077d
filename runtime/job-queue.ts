import { hostname } from 'node:os'
import type { Job } from 'pg-boss'
import { PgBoss } from 'pg-boss'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import type { Config } from './config.ts'
import { parseTarget } from './open-postgres.ts'
import { isUnavailable, postgresUnavailable } from './postgres-unavailable.ts'

/** The schema that holds the jobs; it is made when jobs are first used. */
const schema = 'lockstep_jobs'
const connections = 4
const connectTimeoutMs = 3_000
/** How often the holder of a job says that it is alive, and sees whether the job is still its own. */
const touchMs = 2_000
const resultsAtOnce = 50
const monthSeconds = 30 * 86_400

/**
 * Jobs that processes on any machine share, in PostgreSQL (pg-boss). A queue is there for one piece of work: its owner makes it, takes the results of its jobs, and
 * removes it with all that is in it. Its connections are its own, and outlive a signal that ends everything else: so that jobs can be handed back.
 */
export interface JobQueue {
  /** The names of the queues that begin so. */
  queues(prefix: string): Promise<string[]>
  /** @param heartbeatSeconds a job whose holder is not heard of for so long is given to another: 10 at least */
  create(queue: string, heartbeatSeconds: number): Promise<void>
  add(queue: string, jobs: readonly object[]): Promise<void>
  /** The next job, for this process to hold; null where there is none. */
  take(queue: string): Promise<HeldJob | null>
  /** What one of the queue's jobs, done or not, was told to do; null where there is none. */
  anyOf(queue: string): Promise<unknown>
  /** Results that have come, each once. For the queue's owner alone. */
  results(queue: string): Promise<JobResult[]>
  /** Gives jobs whose holders are gone to others. For the queue's owner to call, now and then. */
  sweep(queue: string): Promise<void>
  /** Also where it is not there. */
  remove(queue: string): Promise<void>
  /** Waits for what is under way. */
  close(): Promise<void>
}

export interface HeldJob {
  readonly data: unknown
  /** 0 for the first. */
  readonly attempt: number
  /** Aborted where the job has gone to another, or is gone with its queue. */
  readonly lost: AbortSignal
  /** Ends the job. @returns whether the result was handed in: not where its queue is gone */
  finish(result: object): Promise<boolean>
  /** For another to take, a second later; after five attempts its result is why it failed. */
  handBack(why: string): Promise<void>
  /** Whether it is still this process's own. */
  isHeld(): Promise<boolean>
}

export type JobResult = { readonly result: unknown } | { readonly failed: unknown; readonly why: string }

/** @throws LockstepError `CONFIG_INVALID` where the database is embedded, `POSTGRES_UNAVAILABLE` */
export async function openJobQueue({ postgresUrl }: Pick<Config, 'postgresUrl'>): Promise<JobQueue> {
  if (postgresUrl === null) {
    throw new LockstepError(
      'CONFIG_INVALID',
      'Several workers share their jobs through PostgreSQL, and the embedded database belongs to one process; set "LOCKSTEP_POSTGRES_URL".',
    )
  }
  const { url, server } = parseTarget(postgresUrl)
  const boss = new PgBoss({
    connectionString: url,
    schema,
    max: connections,
    connectionTimeoutMillis: connectTimeoutMs,
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
      throw isUnavailable(cause) ? postgresUnavailable(server, cause) : cause
    }
  }
  try {
    await attempt(() => boss.start())
  } catch (error) {
    await boss.stop({ graceful: false }).catch(() => undefined)
    if (!isDenied(error)) throw error
    throw new LockstepError(
      'CONFIG_INVALID',
      `The jobs of workers are kept in a schema "${schema}", which cannot be made: ${messageOf(error)}. Let the database's owner run this once, or grant CREATE on the database.`,
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
      if (!(await isHeld())) lost.abort(new LockstepError('STOPPED', "The job is no longer this process's own."))
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
            await boss.send(resultsOf(queue), { result })
          } catch (error) {
            if (await exists(queue)) throw error
            return false
          }
          // where that fails it is done twice, and the second result passed over
          await boss.complete(queue, { id, retryCount }).catch(() => undefined)
          return true
        }),
      handBack: (why) =>
        attempt(async () => {
          clearInterval(heart)
          await boss.fail(queue, { id, retryCount }, { why, by: `${hostname()}:${process.pid}` })
        }),
    }
  }

  return {
    queues: (prefix) =>
      attempt(async () => {
        const names = (await boss.getQueues()).map(({ name }) => name)
        return names.filter((name) => name.startsWith(prefix) && !name.endsWith(resultsOf('')))
      }),
    create: (queue, heartbeatSeconds) =>
      attempt(async () => {
        await boss.createQueue(resultsOf(queue), { retentionSeconds: monthSeconds })
        await boss.createQueue(queue, {
          deadLetter: resultsOf(queue),
          heartbeatSeconds,
          expireInSeconds: 86_399,
          retentionSeconds: monthSeconds,
          retryLimit: 4,
          retryDelay: 1,
        })
      }),
    add: (queue, jobs) =>
      attempt(
        async () =>
          void (await boss.insert(
            queue,
            jobs.map((data) => ({ data })),
          )),
      ),
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
    sweep: (queue) => attempt(() => boss.supervise(queue)),
    remove: (queue) =>
      attempt(async () => {
        await boss.deleteQueue(queue)
        await boss.deleteQueue(resultsOf(queue))
      }),
    close: () => boss.stop({ graceful: false }),
  }
}

function resultsOf(queue: string): string {
  return `${queue}.results`
}

function whyOf(output: object | null): string {
  if (output !== null && 'why' in output) return String(output.why)
  return output !== null && 'message' in output ? String(output.message) : 'its worker was not heard of any more'
}

/** 42501: insufficient privilege. */
function isDenied(error: unknown): boolean {
  return /permission denied|must be owner/.test(messageOf(error))
}
