import type { Catalog } from '../catalog.ts'
import { judgingOutcomes } from '../judging-outcomes.ts'
import type { GateSpec, PlanName, RolloutPlan, StatedPlan } from './plan-schema.ts'
import { gate, parsePlan } from './plan-schema.ts'

/** Small shares take longer to say something, so the steps grow slowly at first. */
const steps: Readonly<Record<PlanName, StatedPlan['steps']>> = {
  default: [
    { share: 0.01, atLeast: '10m', samples: 500 },
    { share: 0.05, atLeast: '10m', samples: 2000 },
    { share: 0.25, atLeast: '20m', samples: 5000 },
    { share: 0.5, atLeast: '30m', samples: 10_000 },
    { share: 1, atLeast: '1h', samples: 10_000 },
  ],
  'blue-green': [{ share: 1, atLeast: '1h', samples: 0 }],
}

/**
 * The gates of a plan that names none: all that the model can have. Those that need the prediction log, outcomes or a
 * baseline do not hold a rollout up where these are missing.
 */
export function defaultGates(catalog: Catalog, model: string): readonly GateSpec[] {
  const optional = { optional: true } as const
  const always = [
    gate({ kind: 'errors' }),
    gate({ kind: 'latency', ...optional }),
    gate({ kind: 'features', ...optional }),
    gate({ kind: 'parity', ...optional }),
    gate({ kind: 'freshness', ...optional }),
    gate({ kind: 'inputs', ...optional }),
    gate({ kind: 'predictions', ...optional }),
    gate({ kind: 'split', ...optional }),
    gate({ kind: 'load', ...optional }),
  ]
  const judged = judgingOutcomes(catalog, model).map(({ spec }) => gate({ kind: 'quality', outcome: spec.name, ...optional }))
  return [...always, ...judged]
}

export function namedPlan(catalog: Catalog, model: string, name: PlanName): RolloutPlan {
  return parsePlan({ steps: steps[name] }, defaultGates(catalog, model))
}
