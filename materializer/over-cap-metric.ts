import type { Registry } from 'prom-client'
import { Counter } from 'prom-client'

const name = 'lockstep_states_over_cap_total'

/**
 * Counts entities by whose states a view's cap is met, whoever of the process meets it: one metric for all that ask for
 * it.
 */
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
