import type { JobEvent } from '../runtime/jobs/job-kind.ts'
import type { Logger } from '../runtime/log.ts'
import { createRepeats } from '../runtime/repeats.ts'

/**
 * Logs the result of each step of a job, one line each, and an outage once a minute.
 *
 * @param now milliseconds of a clock that is never set
 */
export function logJobs(log: Logger, now?: () => number): (event: JobEvent) => void {
  // each step that is looked for meets an outage, every two seconds
  const outages = createRepeats(now)

  function unavailable(error: string): void {
    if (outages(error) !== null) log.warn({ error }, 'jobs wait: a database or store is down')
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
