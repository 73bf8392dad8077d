import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { codeDifference, diff, differenceText } from '../../registry/changes/diff.ts'
import { nearest } from '../../kernel/did-you-mean.ts'
import { budget } from '../budget.ts'
import { airport, landings, windowFeature } from './sample-set.ts'

const texts = (was: unknown, now: unknown): string[] => diff(was, now).map(differenceText)

describe('diff', () => {
  it('names fields, with items of an array by name and durations in readable units', () => {
    const was = { entity: airport, features: [windowFeature('landed', 'count', 1), windowFeature('mean', 'mean', 6)] }
    const now = { entity: airport, features: [windowFeature('landed', 'count', 2), windowFeature('mean', 'mean', 6, { default: 0 })] }
    expect(texts(was, now)).toEqual(['features.landed.window was 1h, now 2h', 'features.mean.default was null, now 0'])
  })

  it('writes the moment from which files count, and not a duration', () => {
    const files = (day: number) => ({ files: { patterns: ['rows.parquet'], fromMicros: Date.UTC(2026, 0, day) * 1000, schedule: null } })
    expect(texts(files(1), files(2))).toEqual(['files.from was 2026-01-01T00:00:00Z, now 2026-01-02T00:00:00Z'])
    expect(texts({}, files(1))).toEqual(['files is new (patterns (rows.parquet), from 2026-01-01T00:00:00Z)'])
  })

  it('name additions and removals', () => {
    const [delay, distance] = landings.columns
    expect(texts({ columns: [delay] }, { columns: [distance] })).toEqual([
      'columns.delay was removed (it was type float64)',
      'columns.distance is new (type int32)',
    ])
  })

  it('name the members of a service by their views', () => {
    const member = (view: string, features: string[]) => ({ kind: 'view', use: { view, alias: null, key: ['card'] }, features })
    const payment = { kind: 'onDemand', view: 'payment@1', features: ['ofDay'] }
    const was = { members: [member('spending@1', ['paid1h']), payment] }
    expect(texts(was, { members: [member('spending@2', ['paid1h', 'spent24h'])] })).toEqual([
      'members.spending.use.view was "spending@1", now "spending@2"',
      'members.spending.features.spent24h is new ("spent24h")',
      'members.payment was removed (it was kind onDemand, view payment@1, features (ofDay))',
    ])
  })

  it('report a change of order, which counts in an array', () => {
    const [delay, distance] = landings.columns
    expect(texts({ columns: [delay, distance] }, { columns: [distance, delay] })).toEqual([
      'columns (order) was delay, distance, now distance, delay',
    ])
  })

  it('do not count the order of an object’s fields', () => {
    expect(diff({ a: 1, b: [{ name: 'x', y: 2 }] }, { b: [{ y: 2, name: 'x' }], a: 1 })).toEqual([])
  })

  it('exist exactly where the data differ', () => {
    const json = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 3 },
        fc.integer({ min: 0, max: 2 }),
        fc.constantFrom('a', 'b'),
        fc.constant(null),
        tie('list'),
        tie('object'),
      ),
      list: fc.array(tie('value'), { maxLength: 3 }),
      object: fc.dictionary(fc.constantFrom('name', 'part', 'x'), tie('value')),
    })).value
    fc.assert(
      fc.property(json, json, (was, now) => {
        expect(diff(was, now).length === 0).toBe(sorted(was) === sorted(now))
      }),
      { numRuns: budget(2000) },
    )
  })
})

describe('codeDifference', () => {
  it('shows the position where two texts differ', () => {
    const long = 'x'.repeat(300)
    const { was, now } = codeDifference(`(row)=>({${long}late:row.delay>15,${long}})`, `(row)=>({${long}late:row.delay>20,${long}})`)
    expect(was).toContain('row.delay>15')
    expect(now).toContain('row.delay>20')
    expect(was?.length).toBeLessThan(130)
  })
})

describe('nearest', () => {
  it('suggests likely names and no distant ones', () => {
    expect(nearest('dealy', ['delay', 'distance'])).toBe('delay')
    expect(nearest('DELAY', ['delay', 'distance'])).toBe('delay')
    expect(nearest('flight_feature', ['flights', 'flight_features', 'flight_features@1'])).toBe('flight_features')
    expect(nearest('airport', ['delay', 'distance'])).toBeNull()
    expect(nearest('km', ['kn', 'ms'])).toBe('kn')
    expect(nearest('x', ['km'])).toBeNull()
    expect(nearest('', ['km'])).toBeNull()
  })
})

function sorted(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)))
      : item,
  )
}
