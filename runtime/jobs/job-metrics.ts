import type { Registry } from 'prom-client'
import { Counter, Gauge, Histogram } from 'prom-client'
import type { JobEvent } from './job-kind.ts'

/** The metrics of a process that works on jobs. */
export interface JobMetrics {
  job(event: JobEvent): void
}

export function createJobMetrics(registry: Registry): JobMetrics {
  const registers = [registry]
  const jobs = new Counter({
    name: 'lockstep_jobs_total',
    help: 'Steps of jobs that this process has held, by kind and outcome: done, handed_back, lost or failed.',
    labelNames: ['kind', 'outcome'],
    registers,
  })
  const held = new Gauge({
    name: 'lockstep_jobs_held',
    help: 'Steps of jobs that this process holds now.',
    labelNames: ['kind'],
    registers,
  })
  const seconds = new Histogram({
    name: 'lockstep_job_seconds',
    help: 'How long steps of jobs took that are done.',
    labelNames: ['kind'],
    buckets: [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600],
    registers,
  })
  return {
    job(event) {
      if (event.type === 'unavailable' || event.type === 'unknown kind') return
      const { kind, type } = event
      if (type === 'taken') return held.inc({ kind })
      held.dec({ kind })
      jobs.inc({ kind, outcome: type.replace(' ', '_') })
      if (type === 'done') seconds.observe({ kind }, event.seconds)
    },
  }
}
