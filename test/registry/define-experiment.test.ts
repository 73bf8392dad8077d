import { describe, expect, it } from 'vitest'
import {
  count,
  entity,
  experiment,
  featureService,
  featureView,
  last,
  metric,
  model,
  onDemandView,
  outcome,
  source,
  t,
} from '../../index.ts'
import { exposureFields } from '../../kernel/specs/experiment-spec.ts'

const card = entity('card', { key: { card: t.string } })
const columns = { amount: t.float64, prediction_id: t.string, is_fraud: t.bool }
const payments = source('payments', { key: { card: 'card' }, eventTime: 'paid_at', known: 'known_at', columns })
const unknown = source('unknown', { key: { card: 'card' }, eventTime: 'paid_at', columns })
const shops = source('shops', { key: { shop: 'shop' }, eventTime: 'paid_at', known: 'known_at', columns })
const pairs = source('pairs', { key: { card: 'card', place: 'place' }, eventTime: 'paid_at', known: 'known_at', columns })
const tills = source('tills', { key: { till: 'till', card: 'holder' }, eventTime: 'paid_at', known: 'known_at', columns })
const spending = featureView('spending', {
  version: 1,
  entity: card,
  source: payments,
  features: { last: last('amount'), paid: count('1d') },
})
const where = onDemandView('at_place', {
  version: 1,
  request: { place: t.string },
  features: { long: t.bool },
  transform: ({ request }) => ({ long: request.place.length > 3 }),
})
const service = featureService('fraud_features', { version: 1, features: [spending, where] })
const fraud = model('fraud', { service, output: { probability: t.float32 } })
const other = model('other', { service, output: { probability: t.float32 } })
const chargeback = outcome('chargeback', { model: fraud, value: t.bool, within: '60d', missing: false })
const foreign = outcome('foreign', { model: other, value: t.bool, within: '60d', missing: false })
const word = outcome('word', { model: fraud, output: null, value: t.string, within: '60d' })

const revenue = metric.mean('revenue', { of: payments, column: 'amount', within: '7d', winsorize: { at: 500 } })
const body = { model: fraud, unit: 'card', variants: { control: 'champion', treatment: 2 }, metrics: { primary: revenue } } as const

/** As JavaScript calls them. */
const untyped = experiment as unknown as (name: string, body: object) => unknown
const mean = metric.mean as unknown as (name: string, body: object) => never
const over = (of: object, more: object = {}) => ({ ...body, metrics: { primary: mean('m', { of, within: '1d', ...more }) } })

describe('an experiment', () => {
  it('is plain data, with equal weights, all units and a sequential analysis unless it says otherwise', () => {
    const declared = experiment('prices', {
      ...body,
      variants: { control: 'champion', seven: 7, candidate: 'candidate' },
      metrics: {
        primary: revenue,
        guardrails: [metric.proportion('charged_back', { of: chargeback, within: '60d', better: 'lower', margin: 0.02 })],
        secondary: [
          metric.ratio('basket', { numerator: { of: payments, column: 'amount' }, denominator: { of: payments }, within: '7d' }),
          metric.quantile('p90', { of: payments, column: 'amount', quantile: 0.9, within: '7d' }),
        ],
      },
      covariates: [spending.pick('last')],
    })
    expect(JSON.parse(JSON.stringify(declared.spec))).toEqual(declared.spec)
    expect(declared.spec.variants.map(({ name, serves, weight }) => [name, serves, weight])).toEqual([
      ['control', 'champion', 1 / 3],
      ['seven', 7, 1 / 3],
      ['candidate', 'candidate', 1 / 3],
    ])
    expect(declared.operational).toEqual({ coverage: 1 })
    expect(declared.spec.analysis).toEqual({ method: 'sequential', alpha: 0.05, correction: 'holm', units: null, prior: null })
    expect(declared.spec.metrics.map(({ name, role, margin, kind }) => [name, role, margin, kind])).toEqual([
      ['revenue', 'primary', null, 'mean'],
      ['charged_back', 'guardrail', 0.02, 'proportion'],
      ['basket', 'secondary', null, 'ratio'],
      ['p90', 'secondary', null, 'quantile'],
    ])
    const [first] = declared.spec.metrics
    expect(first).toMatchObject({
      withinMicros: 7 * 86_400_000_000,
      winsorizeAt: 500,
      value: { of: { kind: 'source', key: [{ name: 'card', type: t.string }] }, aggregate: 'sum', column: 'amount' },
    })
    // other columns of the source may change without a change of the experiment
    expect(first).toMatchObject({ value: { of: { source: { columns: [{ name: 'amount', type: t.float64 }] } } } })
    expect(exposureFields(declared.spec)).toEqual(['card'])
  })

  it.each([
    [
      'a unit that requests have',
      { ...body, unit: 'cart' },
      'has the unit "cart", which requests for the model "fraud" lack. Did you mean "card"?',
    ],
    ['two variants', { ...body, variants: { control: 'champion' } }, 'needs at least two variants'],
    ['versions or aliases', { ...body, variants: { control: 'champion', treatment: 0 } }, 'the variant "treatment" that serves 0; write'],
    [
      'weights that add up',
      { ...body, weights: { control: 0.5, treatment: 0.4 } },
      'has weights that add up to 0.9; they must add up to 1',
    ],
    [
      'weights of its variants',
      { ...body, weights: { control: 0.5, treatmnt: 0.5 } },
      'a weight for "treatmnt", which is no variant. Did you mean',
    ],
    ['a weight for each', { ...body, weights: { control: 0.5 } }, 'has the weight undefined for "treatment"'],
    ['a share as coverage', { ...body, coverage: 20 }, 'has the coverage 20; write a share above 0 and at most 1'],
    ['a part of a layer', { ...body, layer: { name: 'pricing', from: 0.5, to: 0.5 } }, 'has the part from 0.5 to 0.5 of its layer'],
    ['a primary metric', { ...body, metrics: {} }, 'has no primary metric; add one'],
    ['metrics as values', { ...body, metrics: { primary: 'revenue' } }, 'has the primary metric "revenue"; pass the value that'],
    ['metrics with own names', { ...body, metrics: { primary: revenue, secondary: [revenue] } }, 'has two metrics called "revenue"'],
    ['sources with a known time', over(unknown), 'over the source "unknown", which does not say when its rows become known'],
    ['sources keyed by its unit', over(pairs), 'over the source "pairs" with the key "card", "place", but its unit is "card"'],
    [
      'a second source where a key is wider than its unit',
      over(pairs),
      'Declare a second source on the same table whose key is "card" alone: key: { card: \'card\' }.',
    ],
    [
      'a second source where a part of a wider key is no field',
      over(tills),
      'whose key "till" is no field of requests for the model "fraud". Declare a second source on the same table whose key is "card" alone',
    ],
    [
      'sources keyed by a field',
      over(shops),
      'over the source "shops", whose key "shop" is no field of requests for the model "fraud". Use',
    ],
    ['outcomes of its model', over(foreign), 'over the outcome "foreign" of the model "other"; use an outcome of "fraud"'],
    ['units for a fixed analysis', { ...body, analysis: { method: 'fixed' } }, 'is fixed and does not say for how many units it waits'],
    [
      'a prior only if Bayesian',
      { ...body, analysis: { prior: { mean: 0, deviation: 1 } } },
      "a prior, which only the method 'bayesian' uses",
    ],
    ['an allocation that is known', { ...body, allocation: 'bandit' }, `is "bandit"; write 'thompson', or {`],
    [
      'a floor below an equal share',
      { ...body, unit: 'request-id', allocation: { method: 'thompson', floor: 0.5 } },
      'has the floor 0.5; write a share above 0 and below 0.5, the equal share of its 2 variants',
    ],
    ['enough units', { ...body, allocation: { method: 'thompson', minUnits: 5 } }, 'has 5 as minUnits; write a whole number from 100 on'],
    [
      'metrics that can be weighted',
      {
        ...body,
        unit: 'request-id',
        allocation: 'thompson',
        metrics: { primary: metric.quantile('p90', { of: payments, column: 'amount', quantile: 0.9, within: '7d' }) },
      },
      'and the metric "p90", which cannot be weighted by shares',
    ],
    [
      'no covariates with an allocation',
      { ...body, allocation: 'thompson', covariates: [spending.pick('last')] },
      'and covariates, which it does not take',
    ],
    [
      'a sequential analysis of an allocation',
      { ...body, unit: 'request-id', allocation: 'thompson', analysis: { method: 'bayesian' } },
      `and the method 'bayesian'; such an experiment`,
    ],
    [
      'known fields',
      { ...body, varants: {} },
      'The experiment "e" has the field "varants", which does not exist. Did you mean "variants"?',
    ],
  ])('needs %s', (_, given, message) => {
    expect(() => untyped('e', given)).toThrow(message)
  })

  it('may have any field of the entities as the key of its sources if its unit is the request', () => {
    const { spec } = experiment('e', {
      ...body,
      unit: 'request-id',
      metrics: { primary: metric.mean('paid', { of: pairs, within: '1d' }) },
    })
    expect(exposureFields(spec)).toEqual(['card', 'place'])
  })
})

describe('a metric', () => {
  it.each([
    ['a within', { of: payments }, "does not say for how long rows count after the exposure; write within: '7d'"],
    [
      'a known column',
      { of: payments, column: 'amont', within: '1d' },
      'which the source "payments" does not have. Did you mean "amount"?',
    ],
    ['a number', { of: payments, column: 'prediction_id', within: '1d' }, 'the column "prediction_id" of string; it must be a number.'],
    [
      'an outcome with a number',
      { of: word, within: '1d' },
      'over the outcome "word", which is a string; a metric needs a number or a bool',
    ],
    ['no column of an outcome', { of: chargeback, column: 'value', within: '1d' }, 'whose value it takes; remove "column"'],
    ['a column to sum', { of: payments, aggregate: 'sum', within: '1d' }, 'has the aggregate "sum" and no column'],
    ['a bound', { of: payments, within: '1d', winsorize: 5 }, 'has winsorize: 5; write the bound, as in { at: 500 }'],
    ['a margin as a share', { of: payments, within: '1d', margin: 2 }, 'has the margin 2; write a share from 0 to 1'],
    ['a definition', { of: 'payments', within: '1d' }, 'its "of" is "payments"; it must be a source or an outcome'],
  ])('needs %s', (_, given, message) => {
    expect(() => mean('m', given)).toThrow(message)
  })
})
