import { rolloutPlan } from 'lockstep'

/** A real plan has steps of hours; this one ends while you watch it. */
export default rolloutPlan({
  steps: [
    { share: 0.2, atLeast: '2s', samples: 30 },
    { share: 1, atLeast: '2s', samples: 100 },
  ],
  gates: [
    { kind: 'errors', margin: 0.05, samples: 30 },
    { kind: 'split', samples: 30, optional: true },
  ],
  every: '1s',
})
