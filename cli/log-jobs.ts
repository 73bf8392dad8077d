import type { Logger } from '../runtime/log.ts'
import type { JobEvent } from '../runtime/work-on-jobs.ts'

/** Logs what becomes of jobs, one line each. */
export function logJobs(log: Logger): (event: JobEvent) => void {
  return (event) => {
    switch (event.kind) {
      case 'taken':
        return log.info({ job: event.job }, 'a job is taken')
      case 'done':
        return log.info({ job: event.job, seconds: event.seconds }, 'a job is done')
      case 'handed back':
        return log.warn({ job: event.job, error: event.why }, 'a job is returned for another worker')
      case 'lost':
        return log.warn({ job: event.job }, 'a job is abandoned: another worker has it, or it was deleted')
      case 'refused':
        return log.error({ job: event.job, error: event.why }, 'a job has failed')
      case 'away':
        return log.warn({ error: event.why }, 'jobs wait: a database or store is down')
      default:
        return event satisfies never
    }
  }
}
