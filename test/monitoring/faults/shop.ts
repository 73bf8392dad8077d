import { floats, makeOnnx } from '../../inference/make-onnx.ts'

/** Payments by card, a model of fraud, and what came of its predictions. No monitor and no channel is declared. */
export const definitions = `import { entity, featureService, featureView, last, model, outcome, source, t } from 'lockstep'
const card = entity('card', { key: { card: t.string } })
const payments = source('payments', {
  key: { card: 'card' }, eventTime: 'at', columns: { amount: t.float32, country: t.string, trusted: t.bool },
})
const spending = featureView('spending', {
  version: 1, entity: card, source: payments, freshness: '15m',
  features: { amount: last('amount'), country: last('country', { default: 'CH' }), trusted: last('trusted', { default: false }) },
})
const fraudFeatures = featureService('fraud_features', { version: 1, features: [spending] })
const fraud = model('fraud', { service: fraudFeatures, output: { score: t.float32 } })
const reports = source('reports', { key: { card: 'card' }, eventTime: 'at', columns: { card: t.string, prediction_id: t.string, is_fraud: t.bool } })
export const reported = outcome('reported', {
  model: fraud, source: reports, match: 'prediction', predictionId: 'prediction_id', value: 'is_fraud', within: '30m',
})
export { fraudFeatures }
`

/** How often a payment of an amount is fraud. */
export function fraudShare(amount: number): number {
  return 1 / (1 + Math.exp(-(amount - 50) / 5))
}

/**
 * Scores a payment by its amount: 1 / (1 + exp(-slope (amount - 50))).
 *
 * @param producer what the file says it was made by
 */
export function fraudModel(producer: string, slope = 0.2): Buffer {
  return makeOnnx({
    producer,
    graph: {
      inputs: [
        { name: 'amount', type: 'float', shape: ['N', 1] },
        { name: 'country', type: 'string', shape: ['N', 1] },
        { name: 'trusted', type: 'bool', shape: ['N', 1] },
      ],
      outputs: [{ name: 'score', type: 'float', shape: ['N', 1] }],
      initializers: [
        { name: 'slope', type: 'float', dims: [1, 1], raw: floats(slope) },
        { name: 'offset', type: 'float', dims: [1], raw: floats(-50 * slope) },
      ],
      nodes: [
        { type: 'Gemm', inputs: ['amount', 'slope', 'offset'], outputs: ['logit'] },
        { type: 'Sigmoid', inputs: ['logit'], outputs: ['score'] },
      ],
    },
  })
}

/** The same with a second version of the view, whose amounts are in cents by mistake. */
export const brokenDefinitions = definitions
  .replace(
    "featureView('spending', {\n  version: 1, entity: card, source: payments,",
    `featureView('spending', {
  version: 2, entity: card, source: payments, derive: { paid: t.float32 },
  transform: (row) => ({ paid: row.amount === null ? null : row.amount * 100 }),`,
  )
  .replace("amount: last('amount')", "amount: last('paid')")
  .replace("featureService('fraud_features', { version: 1", "featureService('fraud_features', { version: 2")
