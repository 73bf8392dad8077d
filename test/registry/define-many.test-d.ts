import { describe, expectTypeOf, it } from 'vitest'
import type { FeatureValues } from '../../index.ts'
import {
  entity,
  featureService,
  featureView,
  firstN,
  histogram,
  lastDistinctN,
  lastN,
  model,
  onDemandView,
  source,
  t,
  topK,
} from '../../index.ts'

const card = entity('card', { key: { card: t.string } })
const payments = source('payments', {
  key: { card: 'card' },
  eventTime: 'at',
  columns: { amount: t.float64, merchant: t.string, terminal: t.int64, online: t.bool, place: t.vector(2) },
})
const base = { version: 1, entity: card, source: payments } as const
const habits = featureView('habits', {
  ...base,
  features: {
    merchants: lastN('merchant', 5, '24h'),
    amounts: firstN('amount', 3, '1h', { default: [] }),
    recent: lastDistinctN('merchant', 5, '24h', { default: [] }),
    favourites: topK('merchant', 3, '30d', { cap: 5000, required: true }),
    terminals: topK('terminal', 1, '30d'),
    byChannel: histogram('online', '24h'),
    byMerchant: histogram('merchant', '24h', { cap: 100, default: new Map() }),
  },
})

describe('features of many values', () => {
  it('are lists of the type of their column, with nulls or without, and maps of counts', () => {
    expectTypeOf<FeatureValues<typeof habits.features>>().toEqualTypeOf<{
      readonly merchants: readonly (string | null)[] | null
      readonly amounts: readonly (number | null)[]
      readonly recent: readonly string[]
      readonly favourites: readonly string[]
      readonly terminals: readonly bigint[] | null
      readonly byChannel: ReadonlyMap<string, number> | null
      readonly byMerchant: ReadonlyMap<string, number>
    }>()
  })

  it('refuse columns of other types, and defaults of other types', () => {
    // @ts-expect-error a list has no vectors
    featureView('v', { ...base, features: { x: lastN('place', 2, '1h') } })
    // @ts-expect-error a float is no category
    featureView('v', { ...base, features: { x: topK('amount', 2, '1h') } })
    // @ts-expect-error nor here
    featureView('v', { ...base, features: { x: histogram('amount', '1h') } })
    // @ts-expect-error there is no such column
    featureView('v', { ...base, features: { x: firstN('merchnat', 2, '1h') } })
    // @ts-expect-error a list of numbers for one of texts
    featureView('v', { ...base, features: { x: lastN('merchant', 2, '1h', { default: [1] }) } })
    // @ts-expect-error topK has no nulls
    featureView('v', { ...base, features: { x: topK('merchant', 2, '1h', { default: [null] }) } })
    // @ts-expect-error an object is no map
    featureView('v', { ...base, features: { x: histogram('merchant', '1h', { default: {} }) } })
  })

  it('are inputs and outputs of on-demand views', () => {
    const basket = onDemandView('basket', {
      version: 1,
      inputs: { past: habits },
      features: { brands: t.list(t.string), known: t.list(t.bool, { nulls: true }), tally: t.counts },
      transform: ({ past }) => ({ brands: past.favourites, known: [true, null], tally: past.byMerchant }),
    })
    expectTypeOf<FeatureValues<typeof basket.features>>().toEqualTypeOf<{
      readonly brands: readonly string[] | null
      readonly known: readonly (boolean | null)[] | null
      readonly tally: ReadonlyMap<string, number> | null
    }>()
    onDemandView('v', {
      version: 1,
      features: { brands: t.list(t.string) },
      // @ts-expect-error this list has no nulls
      transform: () => ({ brands: ['a', null] }),
    })
  })

  it('are not types of columns, keys, request values and outputs', () => {
    // @ts-expect-error of a column
    source('s', { key: { card: 'card' }, eventTime: 'at', columns: { x: t.list(t.string) } })
    // @ts-expect-error of a key
    entity('e', { key: { x: t.counts } })
    // @ts-expect-error of a request value
    onDemandView('v', { version: 1, request: { x: t.counts }, features: { y: t.int32 }, transform: () => ({ y: 1 }) })
    // @ts-expect-error of a derived column
    featureView('v', { ...base, derive: { x: t.list(t.string) }, transform: () => ({ x: [] }), features: { x: topK('merchant', 1, '1h') } })
    // @ts-expect-error of an output
    model('m', { service: featureService('s', { version: 1, features: [habits] }), output: { x: t.list(t.float32) } })
    // @ts-expect-error a list has no vectors
    t.list(t.vector(2))
  })
})
