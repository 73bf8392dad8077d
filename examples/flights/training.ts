import { training } from 'lockstep'
import { delayModel } from './features.ts'

/**
 * Trains a small model again each Monday, on some 1,500 flights of the week before. Its trainer is that of the
 * projects that `lockstep init` writes: a logistic regression that needs Node alone.
 */
export const weeklyDelays = training('weekly_delays', {
  model: delayModel,
  // every n-th flight, so that the number of rows does not depend on how many are loaded
  spine: {
    sql: `select date, origin, destination, distance, delay > 15 as late from flights
      where date >= '{from}' and date < '{to}' and delay is not null
        and _row % (select 1 + count(*) / 1500 from flights where date >= '{from}' and date < '{to}') = 0`,
  },
  label: 'late',
  window: '7d',
  test: '2d',
  mature: '1d', // all flights of the day before have landed
  asOf: 'before', // a flight does not count itself
  format: 'jsonl',
  trainer: 'train.js',
  parameters: { rounds: 100 },
  require: [{ metric: 'auc', against: 'champion', worseByAtMost: 0.1 }],
  schedule: '0 4 * * 1',
})
