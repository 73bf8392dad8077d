import type { Registry } from 'prom-client'
import { Counter } from 'prom-client'

const name = 'lockstep_states_over_cap_total'

/** Counts entities whose state is over its view's cap. All callers in a process share one metric. */
export function createOverCapMetric(registry: Registry): (view: string, entities: number) => void {
  const present = registry.getSingleMetric(name)
  const counter =
    present instanceof Counter
      ? present
      : new Counter({
          name,
          help: "How often the state of an entity was not stored because it exceeds its view's maxStateBytes (in pushes, streams, runs and backfills).",
          labelNames: ['view'],
          registers: [registry],
        })
  return (view, entities) => counter.inc({ view }, entities)
}
