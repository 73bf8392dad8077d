import { expect, it } from 'vitest'
import { rangeAcross, rangeOfTime } from '../../ui/parts/chart-columns.ts'

it.each([
  [[0.05, 0.15, 0.35], 1, [0, 0.4]],
  [[10, 20], 1, [5, 25]],
  [[3600], 3600, [1800, 5400]],
])('bars at %j lie between the ends of the axis', (places, alone, ends) => {
  const [low, high] = rangeAcross(places, alone)
  expect(low).toBeCloseTo(ends[0] ?? Number.NaN, 10)
  expect(high).toBeCloseTo(ends[1] ?? Number.NaN, 10)
})

it.each([
  ['values in its first half', [1, null, 2, 3, 4], [0, 40]],
  ['no value in its first half', [null, null, null, 3, 4], [27.5, 40]],
  ['one value, the newest', [null, null, null, null, 4], [0, 40]],
  ['no value at all', [null, null, null, null, null], [0, 40]],
])('the axis of time of a series with %s', (_name, values, range) => {
  expect(rangeOfTime({ t: [0, 10, 20, 30, 40], values: [values] })).toEqual(range)
})
