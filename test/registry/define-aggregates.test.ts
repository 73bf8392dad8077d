import { describe, expect, it } from 'vitest'
import {
  count,
  distinctCount,
  entity,
  featureView,
  first,
  last,
  max,
  mean,
  quantile,
  source,
  stddev,
  sum,
  t,
  variance,
  type Aggregate,
  type LockstepError,
} from '../../index.ts'
import type { ViewSpec } from '../../kernel/specs/view-spec.ts'
import { featureSpec } from '../../registry/define/feature-spec.ts'
import { diff, differenceText } from '../../registry/changes/diff.ts'
import { viewFingerprint } from '../../registry/fingerprint.ts'

const airport = entity('airport', { key: { airport: t.string } })
const landings = source('landings', {
  table: 'flights',
  key: { airport: 'origin' },
  eventTime: 'date',
  known: 'landed_at',
  columns: { delay: t.float64, seats: t.int64, code: t.string, cancelled: t.bool, at: t.timestamp, place: t.vector(2) },
})
const base = { version: 1, entity: airport, source: landings }
const minute = 60_000_000

describe('aggregates become plain specs', () => {
  it('with their parameters besides a column', () => {
    const { spec, features } = featureView('v', {
      ...base,
      features: {
        spread: variance('delay', '6h'),
        estimated: stddev('seats', '6h', { sample: true, default: 0 }),
        median: quantile('delay', 0.5, '6h'),
        high: quantile('seats', 0.9, '6h', { error: 0.02, required: true }),
        codes: distinctCount('code', '6h'),
        oldest: first('place', '6h', { hop: '1h' }),
      },
    })
    const window = { kind: 'window', default: null, required: false, windowMicros: 360 * minute, hopMicros: 5 * minute }
    expect(spec.features).toEqual([
      { ...window, name: 'spread', aggregate: 'variance', column: 'delay', type: t.float64 },
      { ...window, name: 'estimated', aggregate: 'stddev', column: 'seats', type: t.float64, sample: true, default: 0 },
      { ...window, name: 'median', aggregate: 'quantile', column: 'delay', type: t.float64, quantile: 0.5, error: 0.01 },
      { ...window, name: 'high', aggregate: 'quantile', column: 'seats', type: t.float64, quantile: 0.9, error: 0.02, required: true },
      { ...window, name: 'codes', aggregate: 'distinctCount', column: 'code', type: t.int32 },
      { ...window, name: 'oldest', aggregate: 'first', column: 'place', type: t.vector(2), hopMicros: 60 * minute },
    ])
    expect(JSON.parse(JSON.stringify(spec))).toEqual(spec)
    expect(Object.entries(features).map(([name, { nullable }]) => `${name} ${nullable}`)).toEqual([
      'spread true',
      'estimated false',
      'median true',
      'high false',
      'codes false',
      'oldest true',
    ])
  })

  it('over all time, without window and hop', () => {
    const { spec } = featureView('v', {
      ...base,
      features: { rows: count('lifetime'), seats: sum('seats', 'lifetime', { default: 0n }), last: last('code', 'lifetime') },
    })
    const lifetime = { kind: 'lifetime', default: null, required: false }
    expect(spec.features).toEqual([
      { ...lifetime, name: 'rows', aggregate: 'count', column: null, type: t.int32 },
      { ...lifetime, name: 'seats', aggregate: 'sum', column: 'seats', type: t.int64, default: '0' },
      { ...lifetime, name: 'last', aggregate: 'last', column: 'code', type: t.string },
    ])
  })

  it('with the column that selects rows, of the source or derived', () => {
    const { spec } = featureView('v', {
      ...base,
      derive: { late: t.bool },
      transform: (row) => ({ late: row.delay === null ? null : row.delay > 15 }),
      features: {
        late: count('1h', { where: 'late' }),
        delay: mean('delay', 'lifetime', { where: 'cancelled' }),
        code: last('code', { where: 'late', ttl: '1d' }),
        all: count('1h'),
      },
    })
    expect(spec.features.map(({ kind, where }) => [kind, where])).toEqual([
      ['window', 'late'],
      ['lifetime', 'cancelled'],
      ['latest', 'late'],
      ['window', undefined],
    ])
    expect(spec.features[3]).not.toHaveProperty('where')
  })
})

describe('a fingerprint and a plan', () => {
  const view = { ...featureView('v', { ...base, features: { x: count('1h') } }).spec, code: null }
  const one = (feature: Aggregate): ViewSpec => ({ ...view, features: [featureSpec('v', 'x', feature, landings.spec.columns)] })
  const changes = [
    [variance('delay', '6h'), stddev('delay', '6h'), 'features.x.aggregate was "variance", now "stddev"'],
    [variance('delay', '6h'), variance('delay', '6h', { sample: true }), 'features.x.sample is new (true)'],
    [quantile('delay', 0.5, '6h'), quantile('delay', 0.9, '6h'), 'features.x.quantile was 0.5, now 0.9'],
    [quantile('delay', 0.5, '6h'), quantile('delay', 0.5, '6h', { error: 0.02 }), 'features.x.error was 0.01, now 0.02'],
    [count('6h'), count('6h', { where: 'cancelled' }), 'features.x.where is new ("cancelled")'],
    [count('6h'), count('lifetime'), 'features.x.kind was "window", now "lifetime"'],
  ] as const
  for (const [was, now, text] of changes) {
    it(`know that ${text}`, () => {
      expect(viewFingerprint(one(was))).not.toBe(viewFingerprint(one(now)))
      expect(diff(one(was), one(now)).map(differenceText)).toContain(text)
    })
  }

  it('do not change for an error or a sample equal to the default', () => {
    expect(viewFingerprint(one(quantile('delay', 0.5, '6h', { error: 0.01 })))).toBe(viewFingerprint(one(quantile('delay', 0.5, '6h'))))
    expect(viewFingerprint(one(variance('delay', '6h', { sample: false })))).toBe(viewFingerprint(one(variance('delay', '6h'))))
  })
})

describe('a feature is refused', () => {
  const untyped = featureView as unknown as (name: string, body: object) => unknown
  const refused: [what: string, feature: unknown, code: string, parts: string[]][] = [
    [
      'an unknown aggregate',
      { ...count('1h'), aggregate: 'stdev' },
      'DEFINITIONS_INVALID',
      ['"x"', '"v"', '"stdev"', 'Did you mean "stddev"?'],
    ],
    ['the variance of a text', variance('code', '1h'), 'INVALID_TYPE', ['"x"', '"code"', 'string', 'numbers']],
    ['the quantile of times', quantile('at', 0.5, '1h'), 'INVALID_TYPE', ['"at"', 'timestamp', 'numbers']],
    ['a distinct count of vectors', distinctCount('place', '1h'), 'INVALID_TYPE', ['"place"', 'vector(2)', 'all types but vectors']],
    ['a quantile of 1', quantile('delay', 1, '1h'), 'DEFINITIONS_INVALID', ['"x"', 'quantile 1;', 'max']],
    ['a quantile of 0', quantile('delay', 0, '1h'), 'DEFINITIONS_INVALID', ['quantile 0;', 'between 0 and 1']],
    ['a quantile that is no number', quantile('delay', Number.NaN, '1h'), 'DEFINITIONS_INVALID', ['NaN']],
    ['too small an error', quantile('delay', 0.5, '1h', { error: 1e-4 }), 'DEFINITIONS_INVALID', ['"x"', '0.0001', '0.001 to 0.2']],
    ['too large an error', quantile('delay', 0.5, '1h', { error: 1 }), 'DEFINITIONS_INVALID', ['error 1;']],
    ['a hop of all time', mean('delay', 'lifetime', { hop: '1h' }), 'INVALID_DURATION', ['"x"', '"1h"', 'Remove the hop']],
    ['a window shorter than its hop', stddev('delay', '1h', { hop: '2h' }), 'INVALID_DURATION', ['"2h"', '"1h"']],
    ['a misspelt lifetime', max('delay', 'lifetimes'), 'INVALID_DURATION', ['"lifetimes"']],
    ['a column that is not there as its where', count('1h', { where: 'canceled' }), 'UNKNOWN_COLUMN', ['"x"', 'Did you mean "cancelled"?']],
    ['a where that is no bool', last('code', { where: 'delay' }), 'INVALID_TYPE', ['"x"', '"delay"', 'float64', 'bool']],
    ['a default of a distinct count', { ...distinctCount('code', '1h'), default: 0 }, 'DEFINITIONS_INVALID', ['distinctCount', 'default']],
    ['a wrong default', quantile('delay', 0.5, '1h', { default: 'none' }), 'INVALID_TYPE', ['"none"', 'float64']],
  ]
  for (const [what, feature, code, parts] of refused) {
    it(`for ${what}`, () => {
      let error: LockstepError | undefined
      try {
        untyped('v', { ...base, features: { x: feature } })
      } catch (thrown) {
        error = thrown as LockstepError
      }
      expect(error?.code).toBe(code)
      for (const part of parts) expect(error?.message).toContain(part)
    })
  }
})

describe('an option that does not exist is refused', () => {
  const refused: readonly (readonly [what: string, define: () => unknown, parts: readonly string[]])[] = [
    ['of a mean', () => mean('delay', '1h', { defualt: 0 } as object), ['mean("delay", "1h")', '"defualt"', 'Did you mean "default"?']],
    ['of a latest value', () => last('code', { tll: '2d' } as object), ['last("code")', '"tll"', 'Did you mean "ttl"?']],
    ['of another aggregate', () => sum('delay', '1h', { sample: true } as object), ['"sample"', 'where, hop, default, required']],
    ['of a window, a ttl', () => last('code', '1h', { ttl: '2d' } as object), ['"ttl"']],
    ['that are no options', () => count('1h', 3 as unknown as object), ['count("1h")', '3']],
  ]
  for (const [what, define, parts] of refused) {
    it(`${what}, by its name`, () => {
      let error: LockstepError | undefined
      try {
        define()
      } catch (thrown) {
        error = thrown as LockstepError
      }
      expect(error?.code).toBe('DEFINITIONS_INVALID')
      for (const part of parts) expect(error?.message).toContain(part)
    })
  }

  it('and those that do are taken', () => {
    expect(variance('delay', '1h', { sample: true, hop: '5m', default: 0, required: false, where: 'late' as never })).toMatchObject({
      sample: true,
    })
    expect(quantile('delay', 0.5, '1h', { error: 0.05 })).toMatchObject({ error: 0.05 })
  })
})
