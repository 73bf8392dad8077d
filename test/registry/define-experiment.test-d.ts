import { describe, expectTypeOf, it } from 'vitest'
import { entity, experiment, featureService, featureView, last, metric, model, outcome, source, t } from '../../index.ts'

const card = entity('card', { key: { card: t.string } })
const payments = source('payments', {
  key: { card: 'card' },
  eventTime: 'paid_at',
  known: 'known_at',
  columns: { amount: t.float64, note: t.string, is_fraud: t.bool },
})
const spending = featureView('spending', { version: 1, entity: card, source: payments, features: { last: last('amount') } })
const service = featureService('fraud_features', { version: 1, features: [spending] })
const fraud = model('fraud', { service, output: { probability: t.float32 } })
const chargeback = outcome('chargeback', { model: fraud, value: t.bool, within: '60d' })
const primary = metric.mean('revenue', { of: payments, column: 'amount', within: '7d' })
const variants = { control: 'champion', treatment: 7 } as const

describe('experiments', () => {
  it('know their name and model', () => {
    const declared = experiment('prices', {
      model: fraud,
      unit: 'card',
      variants,
      weights: { control: 0.9, treatment: 0.1 },
      metrics: { primary },
    })
    expectTypeOf(declared.name).toEqualTypeOf<'prices'>()
    expectTypeOf(declared.model).toEqualTypeOf<typeof fraud>()
    experiment('prices', { model: fraud, unit: 'request-id', variants, metrics: { primary }, covariates: [spending.pick('last')] })
  })

  it('refuse units that requests lack, weights of other variants, and what is no metric', () => {
    // @ts-expect-error no field of the entities
    expectTypeOf(() => experiment('a', { model: fraud, unit: 'cart', variants, metrics: { primary } })).toBeFunction()
    const weights = { control: 0.9, other: 0.1 }
    // @ts-expect-error a variant has no weight
    expectTypeOf(() => experiment('a', { model: fraud, unit: 'card', variants, weights, metrics: { primary } })).toBeFunction()
    // @ts-expect-error a metric is a value
    expectTypeOf(() => experiment('a', { model: fraud, unit: 'card', variants, metrics: { primary: 'revenue' } })).toBeFunction()
  })

  it('have metrics over columns of numbers, and proportions over bools', () => {
    metric.proportion('fraud', { of: payments, column: 'is_fraud', within: '7d' })
    metric.mean('chargebacks', { of: chargeback, within: '60d' })
    // @ts-expect-error a mean needs a number
    expectTypeOf(() => metric.mean('a', { of: payments, column: 'is_fraud', within: '7d' })).toBeFunction()
    // @ts-expect-error no column of the source
    expectTypeOf(() => metric.mean('a', { of: payments, column: 'amont', within: '7d' })).toBeFunction()
    // @ts-expect-error an outcome has its own value
    expectTypeOf(() => metric.mean('a', { of: chargeback, column: 'value', within: '7d' })).toBeFunction()
    // @ts-expect-error a part is a measure
    expectTypeOf(() => metric.ratio('a', { numerator: payments, denominator: { of: payments }, within: '7d' })).toBeFunction()
  })
})
