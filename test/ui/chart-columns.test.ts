import { expect, it } from 'vitest'
import { rangeAcross } from '../../ui/parts/chart-columns.ts'

it.each([
  [[0.05, 0.15, 0.35], 1, [0, 0.4]],
  [[10, 20], 1, [5, 25]],
  [[3600], 3600, [1800, 5400]],
])('bars at %j lie between the ends of the axis', (places, alone, ends) => {
  const [low, high] = rangeAcross(places, alone)
  expect(low).toBeCloseTo(ends[0] ?? Number.NaN, 10)
  expect(high).toBeCloseTo(ends[1] ?? Number.NaN, 10)
})
