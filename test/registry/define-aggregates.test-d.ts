import { describe, expectTypeOf, it } from 'vitest'
import type { FeatureValues } from '../../index.ts'
import { count, distinctCount, entity, featureView, first, last, mean, quantile, source, stddev, sum, t, variance } from '../../index.ts'

const airport = entity('airport', { key: { airport: t.string } })
const landings = source('landings', {
  table: 'flights',
  key: { airport: 'origin' },
  eventTime: 'date',
  columns: { delay: t.float64, seats: t.int64, code: t.string, cancelled: t.bool, at: t.timestamp, place: t.vector(2) },
})
const base = { version: 1, entity: airport, source: landings } as const

describe('aggregates', () => {
  it('type each feature, over windows and all time, with and without a filter', () => {
    const view = featureView('v', {
      ...base,
      derive: { late: t.bool },
      transform: (row) => ({ late: row.delay === null ? null : row.delay > 15 }),
      features: {
        spread: variance('delay', '6h', { where: 'late' }),
        deviation: stddev('seats', 'lifetime', { sample: true, default: 0 }),
        median: quantile('delay', 0.5, '6h', { error: 0.02 }),
        high: quantile('seats', 0.9, '6h', { required: true }),
        codes: distinctCount('code', '6h', { where: 'cancelled' }),
        oldest: first('place', '6h'),
        rows: count('lifetime', { where: 'late' }),
        known: count('delay', 'lifetime', { where: 'late' }),
        seats: sum('seats', 'lifetime', { default: 0n }),
        newest: last('code', { where: 'late', ttl: '1d' }),
      },
    })
    expectTypeOf<FeatureValues<typeof view.features>>().toEqualTypeOf<{
      readonly spread: number | null
      readonly deviation: number
      readonly median: number | null
      readonly high: number
      readonly codes: number
      readonly oldest: Float32Array | null
      readonly rows: number
      readonly known: number
      readonly seats: bigint
      readonly newest: string | null
    }>()
  })

  it('refuse columns of the wrong type', () => {
    // @ts-expect-error the variance of a string
    featureView('v', { ...base, features: { x: variance('code', '1h') } })
    // @ts-expect-error the median of times
    featureView('v', { ...base, features: { x: quantile('at', 0.5, '1h') } })
    // @ts-expect-error the number of different vectors
    featureView('v', { ...base, features: { x: distinctCount('place', '1h') } })
    // @ts-expect-error no such column
    featureView('v', { ...base, features: { x: first('coda', '1h') } })
  })

  it('refuse a where column that is not bool', () => {
    // @ts-expect-error a number
    featureView('v', { ...base, features: { x: mean('delay', '1h', { where: 'delay' }) } })
    // @ts-expect-error no such column
    featureView('v', { ...base, features: { x: count('1h', { where: 'canceled' }) } })
    // @ts-expect-error not derived here
    featureView('v', { ...base, features: { x: last('code', { where: 'late' }) } })
  })

  it('refuse defaults of the wrong type, and any of a distinct count', () => {
    // @ts-expect-error a text for a number
    featureView('v', { ...base, features: { x: quantile('delay', 0.5, '1h', { default: 'none' }) } })
    // @ts-expect-error a variance of int64 is a float64
    featureView('v', { ...base, features: { x: variance('seats', '1h', { default: 0n }) } })
    // @ts-expect-error it is never missing
    distinctCount('code', '1h', { default: 0 })
  })
})
