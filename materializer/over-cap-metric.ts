import type { Registry } from 'prom-client'
import { sharedCounter } from '../runtime/metrics.ts'

/** Counts entities whose state is over its view's cap. All callers in a process share one metric. */
export function createOverCapMetric(registry: Registry): (view: string, entities: number) => void {
  const counter = sharedCounter(registry, {
    name: 'lockstep_states_over_cap_total',
    help: "How often the state of an entity was not stored because it exceeds its view's maxStateBytes (in pushes, streams, runs and backfills).",
    labelNames: ['view'],
  })
  return (view, entities) => counter.inc({ view }, entities)
}
