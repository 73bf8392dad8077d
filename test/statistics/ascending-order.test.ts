import { describe, expect, it } from 'vitest'
import { ascendingOrder } from '../../statistics/ascending-order.ts'
import { aucInSteps } from '../../statistics/auc.ts'
import { createRandom } from '../../statistics/random.ts'
import { rowsOfStep } from '../../statistics/steps.ts'

const random = createRandom(7)
const n = 3000
const sets: Readonly<Record<string, (i: number) => number>> = {
  'float32 scores': () => Math.fround(random.next()),
  'float64 numbers of both signs': () => random.normal() * 10 ** (random.below(600) - 300),
  'few distinct numbers': () => random.below(5) - 2,
  'one number': () => 0.25,
  'zeros of both signs': (i) => (i % 2 === 0 ? 0 : -0),
  'limits of numbers': (i) => [Infinity, -Infinity, Number.MIN_VALUE, -Number.MIN_VALUE, Number.MAX_VALUE, 0, -0][i % 7] as number,
  'moments in microseconds': () => 1.7e15 + random.below(1e9),
}

describe('the ascending order', () => {
  it.each(Object.entries(sets))('of %s is that of a stable comparison, with few and with many', (_, draw) => {
    for (const count of [0, 1, 2, 400, n]) {
      const values = Array.from({ length: count }, (__, i) => draw(i))
      const compared = values
        .map((__, i) => i)
        .sort((a, b) => ((values[a] as number) < (values[b] as number) ? -1 : (values[a] as number) > (values[b] as number) ? 1 : a - b))
      expect(Array.from(ascendingOrder(values))).toEqual(compared)
      expect(Array.from(ascendingOrder(Float64Array.from(values)))).toEqual(compared)
    }
  })
})

describe('the AUC', () => {
  it('of twice as many rows takes twice as many steps', () => {
    const stepsOf = (rows: number): number => {
      const scores = Float64Array.from({ length: rows }, () => Math.fround(random.next()))
      const labels = Uint8Array.from(scores, (score) => (random.next() < score ? 1 : 0))
      let steps = 0
      for (const _ of aucInSteps(scores, labels, {})) steps++
      return steps
    }
    const few = stepsOf(4 * rowsOfStep)
    // the order alone takes some passes over the rows
    expect(few).toBeGreaterThanOrEqual(4 * 8)
    expect(stepsOf(8 * rowsOfStep)).toBe(2 * few)
  })
})
