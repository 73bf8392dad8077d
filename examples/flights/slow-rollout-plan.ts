import { rolloutPlan } from 'lockstep'

/** A rollout that is still under way when somebody looks at the dashboard. */
export default rolloutPlan({
  steps: [
    { share: 0.2, atLeast: '30m', samples: 2000 },
    { share: 1, atLeast: '30m', samples: 2000 },
  ],
  gates: [
    { kind: 'errors', samples: 500 },
    { kind: 'latency', samples: 500 },
    { kind: 'features', samples: 500 },
    { kind: 'split', samples: 100 },
  ],
  every: '5s',
})
