import { afterEach } from 'vitest'
import type { Database } from '../../../runtime/postgres/database.ts'
import { awaitJob } from '../../../runtime/jobs/await-job.ts'
import type { JobEvent, JobKind } from '../../../runtime/jobs/job-kind.ts'
import type { Job } from '../../../runtime/jobs/read-jobs.ts'
import { submitJob } from '../../../runtime/jobs/submit-job.ts'
import type { WorkOptions } from '../../../runtime/jobs/work-on-jobs.ts'
import { workOnJobs } from '../../../runtime/jobs/work-on-jobs.ts'
import { numbers } from './number-kind.ts'

/** Workers that end with each test, and jobs for them. */
export function hiredWorkers(db: () => Database) {
  const stops: AbortController[] = []
  const working: Promise<void>[] = []
  let count = 0
  /** A kind of its own, so that tests do not touch the jobs of other tests. */
  const newKind = (change: Partial<typeof numbers> = {}): typeof numbers => ({ ...numbers, ...change, name: `kind ${count++}` })

  /** Workers beside each other, until the end of the test. */
  const hire = (kinds: readonly JobKind[], options: Partial<WorkOptions> = {}): { readonly events: JobEvent[]; stop(): Promise<void> } => {
    const stop = new AbortController()
    const events: JobEvent[] = []
    const ended = workOnJobs(db(), {
      kinds,
      worker: `w${count++}`,
      signal: stop.signal,
      onEvent: (event) => events.push(event),
      ...options,
    })
    stops.push(stop)
    working.push(ended)
    return {
      events,
      async stop() {
        stop.abort()
        await ended
      },
    }
  }
  const submit = async (kind: typeof numbers, upTo = 3, options: Partial<Parameters<typeof submitJob>[2]> = {}): Promise<number> => {
    const submitted = await submitJob(db(), kind, { subject: 'some numbers', worker: 'test', ...options, spec: { upTo } })
    if (submitted === null) throw new Error('not submitted')
    return submitted.id
  }
  const ended = (id: number): Promise<Job> => awaitJob(db(), id, { signal: AbortSignal.timeout(120_000) })

  afterEach(async () => {
    for (const stop of stops.splice(0)) stop.abort()
    await Promise.all(working.splice(0))
  })

  return { newKind, hire, submit, ended }
}
