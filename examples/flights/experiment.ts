import { experiment, metric, outcome, t } from 'lockstep'
import { delayModel } from './features.ts'

/**
 * The minutes that passengers of a flight lose: the demo sends them when the flight has landed. Passengers are warned
 * if a delay is likely. A false warning costs 15 minutes, and a late flight without a warning 30.
 */
export const lostMinutes = outcome('lost_minutes', {
  model: delayModel,
  output: null, // minutes do not judge a probability
  value: t.float64,
  within: '10s', // the demo replays hours in seconds
  missing: 'exclude',
})

/** Whether a flight was more than 15 minutes late, which the model predicts: its quality is judged by this. */
export const wasLate = outcome('was_late', { model: delayModel, output: 'probability', value: t.bool, within: '1d', missing: 'exclude' })

/** Each flight is asked about once, by a request of its own. */
export const secondModel = experiment('second_model', {
  model: delayModel,
  unit: 'request-id',
  variants: { control: 'champion', treatment: 2 },
  metrics: { primary: metric.mean('lost_minutes', { of: lostMinutes, within: '1s', better: 'lower' }) },
})
