/** The definitions of the quality bench: a score of payments by card, and reports of fraud by prediction. */
import { entity, featureService, featureView, last, model, outcome, source, t } from 'lockstep'

const card = entity('card', { key: { card: t.string } })
const payments = source('payments', { key: { card: 'card' }, eventTime: 'paid_at', columns: { country: t.string } })
const reports = source('reports', {
  key: { prediction_id: 'prediction_id' },
  eventTime: 'reported_at',
  columns: { prediction_id: t.string, fraud: t.bool },
})
const places = featureView('places', { version: 1, entity: card, source: payments, features: { country: last('country') } })
const service = featureService('card_features', { version: 1, features: [places] })

export const fraud = model('fraud', { service, output: { probability: t.float32 } })
export const reported = outcome('reported', {
  model: fraud,
  source: reports,
  match: 'prediction',
  predictionId: 'prediction_id',
  value: 'fraud',
  within: '1d',
})
