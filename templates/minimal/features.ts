import { count, entity, featureService, featureView, model, source, sum, t } from 'lockstep'

/** What the features describe. */
export const customer = entity('customer', { key: { customer: t.string } })

/** A log of rows: data/orders.csv. */
export const orders = source('orders', {
  key: { customer: 'customer' },
  eventTime: 'ordered_at',
  columns: { amount: t.float64 },
})

/** What a customer's past orders say at any moment. */
export const habits = featureView('habits', {
  version: 1,
  entity: customer,
  source: orders,
  features: {
    orders30d: count('30d'),
    spent30d: sum('amount', '30d', { default: 0 }),
  },
})

/** The features that the model takes, in order. */
export const reorderFeatures = featureService('reorder_features', { version: 1, features: [habits] })

/** The probability that a customer orders again within a week: models/reorder.onnx. */
export const reorder = model('reorder', { service: reorderFeatures, output: { probability: t.float32 } })
