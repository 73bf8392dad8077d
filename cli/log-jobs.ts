import type { JobEvent } from '../runtime/jobs/job-kind.ts'
import type { Logger } from '../runtime/log.ts'

/** Logs the result of each step of a job, one line each. */
export function logJobs(log: Logger): (event: JobEvent) => void {
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
        return log.warn({ error: event.error }, 'jobs wait: a database or store is down')
      case 'unknown kind':
        return log.warn({ kind: event.kind }, 'jobs wait: this version does not know their kind; update the worker')
      default:
        return event satisfies never
    }
  }
}
