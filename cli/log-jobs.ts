import type { JobEvent } from '../runtime/jobs/job-kind.ts'
import type { Logger } from '../runtime/log.ts'

/** How often the same outage is logged: each step that is looked for meets it, every two seconds. */
const sameOutageMs = 60_000

/**
 * Logs the result of each step of a job, one line each, and an outage once a minute.
 *
 * @param now milliseconds of a clock that is never set
 */
export function logJobs(log: Logger, now: () => number = () => performance.now()): (event: JobEvent) => void {
  /** When each outage was last logged, by its error. */
  const outages = new Map<string, number>()

  function unavailable(error: string): void {
    for (const [other, at] of outages) if (now() - at >= sameOutageMs) outages.delete(other)
    if (outages.has(error)) return
    outages.set(error, now())
    log.warn({ error }, 'jobs wait: a database or store is down')
  }

  return (event) => {
    switch (event.type) {
      case 'taken':
        return log.info({ job: event.what }, 'a job is taken')
      case 'done':
        return log.info({ job: event.what, seconds: event.seconds }, 'a job is done')
      case 'handed back':
        return log.warn({ job: event.what, error: event.error }, 'a job is returned for another worker')
      case 'lost':
        return log.warn({ job: event.what }, 'a job is abandoned: another worker has it, or it has ended')
      case 'failed':
        return log.error({ job: event.what, error: event.error }, 'a job has failed')
      case 'unavailable':
        return unavailable(event.error)
      case 'unknown kind':
        return log.warn({ kind: event.kind }, 'jobs wait: this version does not know their kind; update the worker')
      default:
        return event satisfies never
    }
  }
}
