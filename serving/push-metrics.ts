import type { Registry } from 'prom-client'
import { Counter, Gauge, Histogram } from 'prom-client'
import { createOverCapMetric } from '../materializer/over-cap-metric.ts'

export interface PushMetrics {
  /** Events of one request: those that are new, and those that were there. */
  pushed(source: string, accepted: number, duplicates: number): void
  /** One request. */
  rejected(reason: string): void
  waiting(source: string, events: number): void
  /** One transaction, folded into the online states. */
  folded(source: string, seconds: number): void
  foldFailed(source: string): void
  overCap(view: string, entities: number): void
}

export function createPushMetrics(registry: Registry): PushMetrics {
  const registers = [registry]
  const labelNames = ['source'] as const
  const accepted = new Counter({
    name: 'lockstep_push_events_total',
    help: 'Pushed events that were committed.',
    labelNames,
    registers,
  })
  const duplicates = new Counter({
    name: 'lockstep_push_duplicates_total',
    help: 'Pushed events whose id existed already.',
    labelNames,
    registers,
  })
  const rejected = new Counter({
    name: 'lockstep_push_rejected_total',
    help: 'Requests to push events that were refused, by reason.',
    labelNames: ['reason'],
    registers,
  })
  const waiting = new Gauge({
    name: 'lockstep_push_waiting_events',
    help: 'Events that wait to be written.',
    labelNames,
    registers,
  })
  const fold = new Histogram({
    name: 'lockstep_push_fold_seconds',
    help: 'Time from the commit of pushed events until they are in the online states, by transaction.',
    labelNames,
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    registers,
  })
  const failures = new Counter({
    name: 'lockstep_push_fold_failures_total',
    help: 'How often folding the pushed events of a source started to fail.',
    labelNames,
    registers,
  })
  return {
    pushed(source, fresh, known) {
      accepted.inc({ source }, fresh)
      duplicates.inc({ source }, known)
    },
    rejected: (reason) => rejected.inc({ reason }),
    waiting: (source, events) => waiting.set({ source }, events),
    folded: (source, seconds) => fold.observe({ source }, seconds),
    foldFailed: (source) => failures.inc({ source }),
    overCap: createOverCapMetric(registry),
  }
}
