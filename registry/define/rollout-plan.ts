import type { StatedPlan } from '../rollouts/plan-schema.ts'

/**
 * The plan of a rollout, for `lockstep rollout start --plan plan.ts`. It is checked when the rollout starts.
 *
 * @example
 *   export default rolloutPlan({
 *     steps: [
 *       { share: 0.05, atLeast: '10m', samples: 2000 },
 *       { share: 0.5, atLeast: '1h' },
 *       { share: 1, atLeast: '1h' },
 *     ],
 *     gates: [{ kind: 'errors', margin: 0.005 }, { kind: 'latency' }],
 *   })
 */
export function rolloutPlan(plan: StatedPlan): StatedPlan {
  return Object.freeze({ ...plan })
}
