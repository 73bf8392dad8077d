import { describe, expectTypeOf, it } from 'vitest'
import { entity, featureService, featureView, last, model, outcome, source, t } from '../../index.ts'

const card = entity('card', { key: { card: t.string } })
const payments = source('payments', {
  key: { card: 'card' },
  eventTime: 'paid_at',
  columns: { amount: t.float64, prediction_id: t.string, is_fraud: t.bool, place: t.vector(2) },
})
const spending = featureView('spending', { version: 1, entity: card, source: payments, features: { last: last('amount') } })
const service = featureService('fraud_features', { version: 1, features: [spending] })
const fraud = model('fraud', { service, output: { probability: t.float32, score: t.float32 } })
const common = { model: fraud, output: 'score', within: '1d' } as const

describe('outcomes', () => {
  it('have the type of their column, of their function, or of the values that are sent', () => {
    const byColumn = outcome('a', { ...common, source: payments, match: 'prediction', predictionId: 'prediction_id', value: 'amount' })
    expectTypeOf(byColumn.type).toEqualTypeOf<{ readonly kind: 'float64' }>()
    const byFunction = outcome('b', {
      ...common,
      source: payments,
      match: 'entity',
      missing: false,
      type: t.bool,
      value: (row) => {
        expectTypeOf(row.amount).toEqualTypeOf<number | null>()
        return row.amount === null ? null : row.amount > 10
      },
    })
    expectTypeOf(byFunction.type).toEqualTypeOf<{ readonly kind: 'bool' }>()
    const sent = outcome('c', { ...common, output: null, value: t.string, missing: 'exclude' })
    expectTypeOf(sent.type).toEqualTypeOf<{ readonly kind: 'string' }>()
    expectTypeOf(sent.name).toEqualTypeOf<'c'>()
  })

  it('refuse unknown columns and outputs, vectors, and a missing value of another type', () => {
    const byId = { ...common, source: payments, match: 'prediction', predictionId: 'prediction_id', value: 'is_fraud' } as const
    outcome('a', { ...byId, figures: { lost: 'amount' } })
    // @ts-expect-error a figure is a number
    outcome('a', { ...byId, figures: { lost: 'prediction_id' } })
    // @ts-expect-error an output that the model does not have
    outcome('a', { model: fraud, output: 'x', within: '1d', value: t.bool })
    // @ts-expect-error the value is no column of the source
    outcome('a', { ...common, source: payments, match: 'prediction', predictionId: 'prediction_id', value: 'loss' })
    // @ts-expect-error a vector says nothing that can be compared
    outcome('a', { ...common, source: payments, match: 'prediction', predictionId: 'prediction_id', value: 'place' })
    // @ts-expect-error what no row means must be declared
    outcome('a', { ...common, source: payments, match: 'entity', value: 'is_fraud' })
    // @ts-expect-error the values are bool
    outcome('a', { ...common, value: t.bool, missing: 1 })
  })
})
