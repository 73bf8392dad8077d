import type { Registry } from 'prom-client'
import { Counter } from 'prom-client'

/**
 * What became of outcomes that were sent: `accepted` or `duplicate`; `rejected`; and of all that were stored, those
 * that were `late` or whose prediction is `unknown`.
 */
type OutcomeResult = 'accepted' | 'duplicate' | 'rejected' | 'late' | 'unknown'

export interface OutcomeMetrics {
  count(outcome: string, result: OutcomeResult, outcomes: number): void
}

export function createOutcomeMetrics(registry: Registry): OutcomeMetrics {
  const counter = new Counter({
    name: 'lockstep_outcomes_total',
    help: 'Outcomes sent to POST /v1/outcomes, by what became of them. Late and unknown ones are stored, and counted twice.',
    labelNames: ['outcome', 'result'],
    registers: [registry],
  })
  return {
    count(outcome, result, outcomes) {
      if (outcomes > 0) counter.inc({ outcome, result }, outcomes)
    },
  }
}
