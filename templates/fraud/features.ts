import { count, entity, featureService, featureView, last, mean, model, onDemandView, source, sum, t, training } from 'lockstep'

export const card = entity('card', { key: { card: t.string } })

/** data/payments.csv. A payment happens at paid_at, and is known when it is booked, three minutes later. */
export const payments = source('payments', {
  key: { card: 'card' },
  eventTime: 'paid_at',
  known: 'booked_at',
  columns: { amount: t.float64, country: t.string },
})

export const spending = featureView('spending', {
  version: 1,
  entity: card,
  source: payments,
  derive: { abroad: t.int32 },
  transform: (row) => ({ abroad: row.country === 'CH' ? 0 : 1 }),
  features: {
    paid1h: count('1h'),
    spent24h: sum('amount', '24h', { default: 0 }),
    abroadShare7d: mean('abroad', '7d', { default: 0 }),
    usualAmount: mean('amount', 'lifetime', { default: 0 }),
    lastAmount: last('amount', { default: 0 }),
  },
})

/** Computed when somebody asks, from the amount that is about to be paid. */
export const payment = onDemandView('payment', {
  version: 1,
  request: { amount: t.float64 },
  inputs: { past: spending },
  features: { ofDay: t.float64, ofUsual: t.float64 },
  transform: ({ request, past }) => ({
    ofDay: request.amount / (request.amount + past.spent24h),
    ofUsual: request.amount / (request.amount + past.usualAmount),
  }),
})

export const fraudFeatures = featureService('fraud_features', { version: 1, features: [spending, payment] })

/** The probability that a payment is fraud: models/fraud.onnx. */
export const fraud = model('fraud', { service: fraudFeatures, output: { probability: t.float32 } })

/** data/labels.csv: whether each payment was fraud. */
export const labels = source('labels', {
  key: { card: 'card' },
  eventTime: 'paid_at',
  columns: { card: t.string, amount: t.float64, fraud: t.int32 },
})

/** Trains the model again: trainers/train.js. With `schedule: '0 4 * * 1'`, a worker does so each Monday. */
export const fraudTraining = training('fraud_training', {
  model: fraud,
  spine: { sql: "select card, paid_at, amount, fraud from lockstep_source.labels where paid_at >= '{from}' and paid_at < '{to}'" },
  label: 'fraud',
  window: '28d',
  test: '7d',
  format: 'jsonl',
  trainer: 'train.js',
  parameters: { rounds: 500 },
  require: [{ metric: 'auc', atLeast: 0.8 }],
})
