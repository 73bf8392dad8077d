import { count, entity, featureService, featureView, model, onDemandView, source, sum, t } from '../../../index.ts'

// The next version of features.ts: a longer window under another name.
export const user = entity('user', { key: { user_id: t.int64 } })

export const transactions = source('transactions', {
  table: 'transactions',
  key: { user_id: 'user_id' },
  eventTime: 'at',
  known: 'booked_at',
  columns: { amount: t.float64, merchant: t.string },
})

export const userSpending = featureView('user_spending', {
  version: 2,
  entity: user,
  source: transactions,
  features: { txCount48h: count('48h'), spent: sum('amount', '48h', { default: 0 }) },
})

export const txContext = onDemandView('tx_context', {
  version: 2,
  request: { amount: t.float64 },
  inputs: { past: userSpending },
  features: { share: { type: t.float64, default: 1 } },
  transform: ({ request, past }) => ({ share: past.spent === 0 ? null : request.amount / past.spent }),
})

export const fraudFeatures = featureService('fraud_features', { version: 2, features: [userSpending, txContext] })

export const fraud = model('fraud', { service: fraudFeatures, output: { probabilities: t.float32 } })
