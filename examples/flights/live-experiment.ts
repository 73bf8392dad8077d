import { experiment, metric, monitor, outcome, t } from 'lockstep'
import { delayModel } from './features.ts'

/** Whether a flight was more than 15 minutes late, which the model predicts: its quality is judged by this. */
export const wasLate = outcome('was_late', { model: delayModel, output: 'probability', value: t.bool, within: '1d', missing: 'exclude' })

/**
 * The minutes that passengers of a flight lose. They are warned if a delay is likely. A false warning costs 15 minutes,
 * and a late flight without a warning 30. Hours pass in seconds, and so a landing comes within minutes.
 */
export const lostMinutes = outcome('lost_minutes', {
  model: delayModel,
  output: null, // minutes do not judge a probability
  value: t.float64,
  within: '3m',
  missing: 'exclude',
})

/** Half of the flights; the other half is for the rollout that goes on at the same time. */
export const secondModel = experiment('second_model', {
  model: delayModel,
  unit: 'request-id',
  coverage: 0.5,
  variants: { control: 'champion', treatment: 2 },
  metrics: { primary: metric.mean('lost_minutes', { of: lostMinutes, within: '2m', better: 'lower' }) },
})

/** A monitor of the model watches all features together. This one says at once that a client sends another unit. */
export const distances = monitor('distances', {
  model: delayModel,
  description: 'Clients send distances in miles.',
  checks: [{ kind: 'drift', columns: ['miles'] }],
  every: '5m',
  window: '1d',
})
