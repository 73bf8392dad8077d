import { describe, expect, it } from 'vitest'
import { createRandom } from '../../statistics/random.ts'
import type { Stratum } from '../../statistics/stratified-difference.ts'
import { independentError, stratifiedDifference } from '../../statistics/stratified-difference.ts'

function estimate(values: readonly number[]) {
  const n = values.length
  const value = values.reduce((sum, each) => sum + each, 0) / n
  const variance = values.reduce((sum, each) => sum + (each - value) ** 2, 0) / (n - 1)
  return { value, standardError: Math.sqrt(variance / n), n }
}

describe('a difference within strata', () => {
  it('has the error that its draws have, whatever changes from stratum to stratum', () => {
    const random = createRandom(5)
    const normal = (n: number, mean: number): number[] => Array.from({ length: n }, () => mean + random.normal())
    let [covered, sum] = [0, 0]
    for (let i = 0; i < 400; i++) {
      const strata: Stratum[] = [
        { control: estimate(normal(90, 10)), treatment: estimate(normal(30, 10.5)) },
        { control: estimate(normal(50, -20)), treatment: estimate(normal(50, -19.5)) },
      ]
      const { difference, standardError, control, treatment } = stratifiedDifference(strata)
      expect([control.n, treatment.n]).toEqual([140, 80])
      if (Math.abs(difference - 0.5) <= 1.96 * standardError) covered++
      sum += difference
    }
    expect(sum / 400).toBeCloseTo(0.5, 1)
    expect(covered / 400).toBeGreaterThan(0.92)
    expect(covered / 400).toBeLessThan(0.98)
  })

  it('is wider if units come back, and never wider than errors that add up', () => {
    const side = { value: 1, standardError: 0.2, n: 50 }
    const strata = [side, side].map((each) => ({ control: each, treatment: each }))
    expect(independentError([side, side])).toBeCloseTo(0.2 / Math.SQRT2, 12)
    const errors = [1, 1.2, 10].map((factor) => stratifiedDifference(strata, { control: factor, treatment: 1 }).control.standardError)
    expect(errors).toEqual([0.2 / Math.SQRT2, (1.2 * 0.2) / Math.SQRT2, 0.2].map((each) => expect.closeTo(each, 12) as number))
  })

  it('of one stratum is the plain difference', () => {
    const control = { value: 0.1, standardError: 0.3, n: 7 }
    const treatment = { value: 0.7, standardError: 0.1, n: 5 }
    expect(stratifiedDifference([{ control, treatment }])).toEqual({
      control,
      treatment,
      difference: 0.7 - 0.1,
      standardError: Math.hypot(0.3, 0.1),
    })
  })
})
