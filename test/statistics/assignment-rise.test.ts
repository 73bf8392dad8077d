import { describe, expect, it } from 'vitest'
import { assignmentRise } from '../../statistics/assignment-rise.ts'
import type { Draws } from '../../statistics/bernoulli-mixture.ts'
import { createRandom } from '../../statistics/random.ts'

const alpha = 0.01
const units = (count: number, successes: number, n = 100): Draws[] => Array.from({ length: count }, () => ({ successes, n }))
const rise = (control: readonly Draws[], treatment: readonly Draws[], share = 0.25) =>
  Math.exp(assignmentRise(control, treatment, share, alpha))

describe('the evidence that an assignment is no chance', () => {
  it('is 1 on average over all assignments, however unequal the units are', () => {
    const random = createRandom(71)
    for (let world = 0; world < 40; world++) {
      const share = 0.05 + 0.9 * random.next()
      const all = Array.from({ length: 1 + random.below(9) }, () => {
        const n = 1 + random.below(4) ** 6
        return { n, successes: random.below(3) === 0 ? n : random.below(n + 1) }
      })
      let mean = 0
      for (let assignment = 0; assignment < 2 ** all.length; assignment++) {
        const treatment = all.filter((_, unit) => (assignment >> unit) & 1)
        const control = all.filter((unit) => !treatment.includes(unit))
        mean += share ** treatment.length * (1 - share) ** control.length * rise(control, treatment, share)
      }
      expect(mean).toBeCloseTo(1, 9)
    }
  })

  it('is strong if all units differ, and weak if few could', () => {
    expect(rise(units(15, 5), units(5, 80))).toBeGreaterThan(1000)
    expect(rise(units(15, 5), [...units(4, 5), ...units(1, 80)])).toBeLessThan(5)
    // three of five units: no assignment is less likely than 1 in 32
    expect(rise(units(2, 5), units(3, 80), 0.5)).toBeLessThan(32)
    expect(rise(units(15, 80), units(5, 5))).toBeLessThan(1)
    expect([rise([], []), rise(units(3, 0), units(2, 0)), rise(units(3, 100), units(2, 100))]).toEqual([1, 1, 1])
  })

  it('takes random groups of many units as units', () => {
    const random = createRandom(72)
    const [worlds, share] = [200, 0.2]
    const found = [1, 3].map((factor) => {
      let count = 0
      for (let world = 0; world < worlds; world++) {
        const [control, treatment] = [0, 1].map(() => units(64, 0, 0).map((group) => ({ ...group }))) as [Counted[], Counted[]]
        for (let unit = 0; unit < 1000; unit++) {
          const isOwn = random.next() < share
          const group = (isOwn ? treatment : control)[random.below(64)] as Counted
          const n = 1 + random.below(40)
          group.n += n
          if (random.next() < (isOwn ? factor : 1) * 0.1) group.successes += n
        }
        if (rise(control, treatment, share) >= 1 / alpha) count++
      }
      return count / worlds
    })
    expect(found[0]).toBeLessThanOrEqual(2 * alpha)
    expect(found[1]).toBeGreaterThan(0.9)
  })
})

interface Counted {
  successes: number
  n: number
}
