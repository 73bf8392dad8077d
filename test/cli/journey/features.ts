import { count, entity, featureService, featureView, model, onDemandView, source, sum, t } from '../../../index.ts'

// What a newcomer writes over a table of their own; features-2.ts is the next version of it.
export const user = entity('user', { key: { user_id: t.int64 } })

export const transactions = source('transactions', {
  table: 'transactions',
  key: { user_id: 'user_id' },
  eventTime: 'at',
  known: 'booked_at',
  columns: { amount: t.float64, merchant: t.string },
})

export const userSpending = featureView('user_spending', {
  version: 1,
  entity: user,
  source: transactions,
  features: { txCount: count('24h'), spent: sum('amount', '24h', { default: 0 }) },
})

export const txContext = onDemandView('tx_context', {
  version: 1,
  request: { amount: t.float64 },
  inputs: { past: userSpending },
  features: { share: { type: t.float64, default: 1 } },
  transform: ({ request, past }) => ({ share: past.spent === 0 ? null : request.amount / past.spent }),
})

export const fraudFeatures = featureService('fraud_features', { version: 1, features: [userSpending, txContext] })

export const fraud = model('fraud', { service: fraudFeatures, output: { probabilities: t.float32 } })
