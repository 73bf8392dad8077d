import { describe, expect, it } from 'vitest'
import { entity, featureService, featureView, last, model, outcome, source, t } from '../../index.ts'
import { load } from './definition-files.ts'
import { payments as paymentsFile } from '../monitoring/outcomes/payments.ts'

const card = entity('card', { key: { card: t.string } })
const columns = { amount: t.float64, prediction_id: t.string, is_fraud: t.bool, place: t.vector(2) }
const payments = source('payments', { key: { card: 'card' }, eventTime: 'paid_at', columns })
const shops = source('shops', { key: { shop: 'shop' }, eventTime: 'paid_at', columns })
const spending = featureView('spending', { version: 1, entity: card, source: payments, features: { last: last('amount') } })
const service = featureService('fraud_features', { version: 1, features: [spending] })
const fraud = model('fraud', { service, output: { probability: t.float32 } })
const two = model('two', { service, output: { a: t.float32, b: t.float32 } })

const three = model('three', { service, output: { classes: t.vector(3) } })

const sent = { model: fraud, value: t.bool, within: '1d' }
const matched = { model: fraud, source: payments, match: 'prediction', predictionId: 'prediction_id', value: 'is_fraud', within: '1d' }
const byKey = { model: fraud, source: payments, match: 'entity', value: 'is_fraud', within: '1d', missing: false }

/** As JavaScript calls it. */
const untyped = outcome as (name: string, body: object) => unknown

describe('an outcome', () => {
  it.each([
    ['a "within"', { ...sent, within: undefined }, `The outcome "a" does not say how long an outcome may take; write within: '12h'`],
    ['a duration', { ...sent, within: 'soon' }, 'The within of outcome "a" "soon" is not a duration'],
    [
      'a known value column',
      { ...matched, value: 'is_frud' },
      'is the column "is_frud", which the source "payments" does not have. Did you mean "is_fraud"?',
    ],
    [
      'a known id column',
      { ...matched, predictionId: 'id' },
      'The predictionId of outcome "a" is the column "id", which the source "payments" does not have',
    ],
    [
      'an id column of strings',
      { ...matched, predictionId: 'amount' },
      'The predictionId of outcome "a" is a column of float64; it must be a string.',
    ],
    ['an id column', { ...matched, predictionId: undefined }, `does not say which column holds the prediction's id`],
    ['a model', { ...sent, model: 'fraud' }, 'The model of outcome "a" is "fraud"; it must be a model'],
    [
      'a scalar value',
      { ...matched, value: 'place' },
      'The value of outcome "a" is vector(2); an outcome is a bool, a number or a string.',
    ],
    ['a way to match', { ...matched, match: 'time' }, `has the match "time"; write match: 'prediction' or match: 'entity'`],
    ['a meaning of no row', { ...byKey, missing: undefined }, 'does not say what a prediction without a row means; write missing: false'],
    ['a missing value of its type', { ...byKey, missing: 0 }, 'The missing of outcome "a" is 0; write a bool'],
    ['a first or last row', { ...byKey, take: 'any' }, `has the take "any"; write 'first' or 'last'`],
    [
      'a key of the request',
      { ...byKey, source: shops },
      'has the key "shop", which is not a column of requests for the service "fraud_features": card.',
    ],
    [
      'an output',
      { ...sent, model: two },
      'does not say which output of the model "two" it judges; write output: one of "a", "b", or output: null',
    ],
    ['a known output', { ...sent, output: 'x' }, 'judges the output "x", which the model "fraud" does not have; it has "probability"'],
    [
      'an output of its kind',
      { ...sent, value: t.string },
      'is a string and cannot judge the output "probability" of the model "fraud", a float32; name another output, or write output: null if it judges none',
    ],
    [
      'an output that is no long vector',
      { ...sent, model: three },
      'is a bool and cannot judge the output "classes" of the model "three", a vector(3)',
    ],
    [
      'no figures without an output',
      { ...matched, output: null, figures: { amount: 'amount' } },
      'judges no output, so no report of quality shows its "figures"',
    ],
    ['a value', { ...matched, value: 5 }, 'has the value 5; name a column of the source, or write a function of its row'],
    ['known fields', { ...sent, withn: '1d' }, 'The outcome "a" has the field "withn", which does not exist. Did you mean "within"?'],
    [
      'a known column for a figure',
      { ...matched, figures: { lost: 'amont' } },
      'The figure "lost" of outcome "a" is the column "amont", which',
    ],
    [
      'numbers in a figure',
      { ...matched, figures: { lost: 'is_fraud' } },
      'The figure "lost" of outcome "a" is a column of bool; it must be a number.',
    ],
    [
      'figures by name',
      { ...matched, figures: ['amount'] },
      "has the figures an array of 1; write columns by name, as in figures: { lost: 'amount' }",
    ],
    [
      'at most 8 figures',
      { ...matched, figures: Object.fromEntries('abcdefghi'.split('').map((name) => [name, 'amount'])) },
      'has 9 figures; at most 8 are kept',
    ],
    ['a source for "figures"', { ...sent, figures: { lost: 'value' } }, 'has no source, so "figures" does not apply'],
    ['a source for "match"', { ...sent, match: 'entity' }, 'has no source, so "match" does not apply'],
  ])('needs %s', (_, body, message) => {
    expect(() => untyped('a', body)).toThrow(message)
  })

  it('may judge no output', () => {
    expect(outcome('minutes', { model: two, value: t.float64, within: '1d', output: null }).spec.output).toBeNull()
    expect(outcome('word', { model: fraud, value: t.string, within: '1d', output: null }).spec.output).toBeNull()
  })

  it('is collected with its model and source, and its code is bundled', async () => {
    const set = await load({ 'features.ts': paymentsFile })
    expect(set.outcomes.map(({ spec }) => spec.name).sort()).toEqual(['chargeback', 'costly', 'labelled', 'lost', 'lost_last'])
    expect(set.models.map(({ spec }) => spec.name)).toEqual(['fraud'])
    expect(set.sources.map(({ spec }) => spec.name).sort()).toEqual(['chargeback', 'payments', 'reports'])
    const [, costly] = set.outcomes
    expect(set.code.get(costly?.spec.code ?? '')).toContain('100')
  })

  it('has another fingerprint if its time, its code or its model differs, and not by its description or figures', async () => {
    const print = async (from: string, to: string) => {
      const { outcomes } = await load({ 'features.ts': paymentsFile.replace(from, to) })
      return outcomes.find(({ spec }) => spec.name === 'costly')?.fingerprint
    }
    const plain = await print('', '')
    const costly = "within: '1d', missing: false,\n  figures: { loss: 'loss' },\n})"
    expect(await print(costly, costly.replace('figures', "owner: 'risk', figures"))).toBe(plain)
    expect(await print(costly, "within: '1d', missing: false })")).toBe(plain)
    const others = [
      await print(costly, costly.replace('1d', '2d')),
      await print('limit = 100', 'limit = 200'),
      await print("count('1h')", "count('2h')"),
    ]
    expect(new Set([plain, ...others]).size).toBe(4)
  })

  it('refuses a function that is not pure or not written in the definition', async () => {
    const impure = paymentsFile.replace('row.loss > limit', 'row.loss > Math.random()')
    await expect(load({ 'features.ts': impure })).rejects.toMatchObject({ code: 'TRANSFORM_IMPURE' })
    const wrong = paymentsFile.replace('row.loss > limit)', 'row.loss as never)')
    await expect(load({ 'features.ts': wrong })).rejects.toThrow('The transform of outcome "costly" returned')
    const elsewhere = paymentsFile.replace(
      'value: (row) => (row.loss === null ? null : row.loss > limit), ',
      '...{ value: (row) => true }, ',
    )
    await expect(load({ 'features.ts': elsewhere })).rejects.toThrow('The value of outcome "costly" cannot be found in the source')
  })
})
