import { expect, it } from 'vitest'
import { entityRows, profileColumn, restoreProfile, storeProfile } from '../../../offline/profile/column-profile.ts'
import { clusteredShares } from '../../../statistics/clustered-shares.ts'
import { binCount, binLabels } from '../../../statistics/column-bins.ts'

const singles = (count: number) => entityRows(Array.from({ length: count }, (_, i) => String(i)))

it('profiles a column of numbers with nulls, NaN and infinities apart', () => {
  const values = [null, Number.NaN, Number.POSITIVE_INFINITY, ...Array.from({ length: 100 }, (_, i) => i / 10)]
  const { bins, sums, numbers } = profileColumn({ name: 'x', type: { kind: 'float64' } }, values, singles(103))
  expect([...sums.counts]).toEqual([1, 1, 0, 1, 0, ...new Array<number>(10).fill(10), 0])
  expect(binCount(bins)).toBe(sums.counts.length)
  expect(numbers).toMatchObject({ min: 0, max: 9.9 })
  expect(numbers?.mean).toBeCloseTo(4.95)
  expect(numbers?.quantiles).toEqual(Array.from({ length: 100 }, (_, i) => i / 10))
})

it('profiles few distinct whole numbers, texts and booleans as categories', () => {
  const profile = (kind: 'int32' | 'int64' | 'string' | 'bool', values: readonly (number | bigint | string | boolean | null)[]) =>
    binLabels(profileColumn({ name: 'x', type: { kind } }, values, singles(values.length)).bins)
  expect(profile('int32', [3, 3, 1, null])).toEqual(['null', '3', '1', 'other'])
  expect(profile('int64', [3n, 3n, 1n])).toEqual(['null', '3', '1', 'other'])
  expect(profile('bool', [true, false, true])).toEqual(['null', 'true', 'false', 'other'])
  expect(profile('string', ['b', 'a', 'b'])).toEqual(['null', 'b', 'a', 'other'])
  const many = profile(
    'int32',
    Array.from({ length: 100 }, (_, i) => i),
  )
  expect([many[4], many[5], many.at(-1)]).toEqual(['below 0', '0 to 9', 'above 99'])
})

it('counts a list or a timestamp only as null or not', () => {
  const list = profileColumn({ name: 'x', type: { kind: 'list', of: { kind: 'string' }, nulls: false } }, [['a'], null, []], singles(3))
  expect([...list.sums.counts]).toEqual([1, 2])
  const time = profileColumn({ name: 'x', type: { kind: 'timestamp' } }, [1e15, null], singles(2))
  expect([[...time.sums.counts], time.numbers]).toEqual([[1, 1], null])
})

it('keeps the dependence of rows of one entity through storage', () => {
  const entities = entityRows(['a', 'b', 'a', 'c', 'a'])
  const profile = profileColumn({ name: 'x', type: { kind: 'string' } }, ['p', 'q', 'p', null, 'p'], entities)
  const again = restoreProfile(JSON.parse(JSON.stringify(storeProfile(profile))))
  expect(again).toEqual(profile)
  const { rows, entities: distinct, effectiveEntities } = clusteredShares(again.sums)
  expect([rows, distinct, effectiveEntities]).toEqual([5, 3, 25 / 11])
})
