import type { Registry } from 'prom-client'
import { Counter, Gauge, Histogram } from 'prom-client'
import type { JobEvent } from './work-on-jobs.ts'

/** What a process that works on jobs counts. */
export interface JobMetrics {
  job(event: JobEvent): void
}

export function createJobMetrics(registry: Registry): JobMetrics {
  const registers = [registry]
  const jobs = new Counter({
    name: 'lockstep_jobs_total',
    help: 'Jobs that this process took, by queue and outcome: done, handed_back, lost or refused.',
    labelNames: ['queue', 'outcome'],
    registers,
  })
  const held = new Gauge({ name: 'lockstep_jobs_held', help: 'Jobs that this process is working on.', labelNames: ['queue'], registers })
  const seconds = new Histogram({
    name: 'lockstep_job_seconds',
    help: 'Duration of finished jobs.',
    labelNames: ['queue'],
    buckets: [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600],
    registers,
  })
  return {
    job(event) {
      if (event.kind === 'away') return
      // `backfill.12` is one of its sort
      const queue = event.queue.slice(0, event.queue.indexOf('.'))
      if (event.kind === 'taken') return held.inc({ queue })
      held.dec({ queue })
      jobs.inc({ queue, outcome: event.kind.replace(' ', '_') })
      if (event.kind === 'done') seconds.observe({ queue }, event.seconds)
    },
  }
}
