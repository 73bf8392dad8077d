import { describe, expect, it } from 'vitest'
import { addEntity, createEntitySums } from '../../statistics/clustered-shares.ts'
import { createRandom } from '../../statistics/random.ts'
import { effectiveRows, shareRise } from '../../statistics/share-rise.ts'

/** Rows of entities that lack values to different degrees. */
function draw(random: ReturnType<typeof createRandom>, entities: number, rowsOf: () => number, shareOf: () => number) {
  const sums = createEntitySums(2)
  let [rows, lacking] = [0, 0]
  for (let e = 0; e < entities; e++) {
    const share = shareOf()
    const own = Array.from({ length: rowsOf() }, () => (random.next() < share ? 0 : 1))
    addEntity(sums, own)
    rows += own.length
    lacking += own.filter((bin) => bin === 0).length
  }
  return { share: lacking / rows, rows, effectiveRows: effectiveRows(sums, 0, rows, rows) }
}

describe('a rise of a share', () => {
  it('has the p-value of the pooled test of two proportions', () => {
    const [before, after] = [30, 60].map((lacking) => ({ share: lacking / 1000, rows: 1000, effectiveRows: 1000 }))
    const z = 0.03 / Math.sqrt(0.045 * 0.955 * 0.002)
    expect(z).toBeCloseTo(3.236, 3)
    if (before === undefined || after === undefined) throw new Error('There are two.')
    expect(shareRise(before, after)).toBeCloseTo(0.00060628, 6)
    expect(shareRise(after, before)).toBeGreaterThan(0.999)
    expect(shareRise({ ...before, share: 0 }, { ...after, share: 0 })).toBe(1)
  })

  it('has the exact p-value of few independent rows, and none of very few', () => {
    const of = (effectiveRows: number, share: number) => ({ share, rows: 5000, effectiveRows })
    // of 24 entities, in how many ways are those 12 the ones without values
    expect(shareRise(of(12, 0), of(12, 1))).toBeCloseTo(1 / 2_704_156, 12)
    // 3 of 10 before and 8 of 15 after: 8 or more of the 11 are among the 15
    expect(shareRise(of(10.9, 0.25), of(15.9, 0.55))).toBeCloseTo(0.230812, 6)
    expect(shareRise(of(1000, 0.01), of(12, 0.01))).toBeCloseTo(1, 9)
    expect(shareRise(of(9.9, 0), of(12, 1))).toBeNull()
  })

  it('of few entities is seldom found where there is none', () => {
    const random = createRandom(12)
    let alarms = 0
    for (let run = 0; run < 1000; run++) {
      const shareOf = () => random.next() ** 4
      const p = shareRise(
        draw(random, 14, () => 50, shareOf),
        draw(random, 14, () => 50, shareOf),
      )
      if (p !== null && p < 0.05) alarms++
    }
    expect(alarms).toBeLessThan(40)
  })

  it('alarms about as seldom as it says where rows of one entity repeat, and in any case where all are alike', () => {
    const random = createRandom(11)
    const rowsOf = () => 1 + random.below(9)
    for (const shareOf of [() => (random.next() < 0.1 ? 0.9 : 0.02), () => (random.next() < 0.1 ? 1 : 0)]) {
      let alarms = 0
      const runs = 1000
      for (let run = 0; run < runs; run++) {
        const p = shareRise(draw(random, 150, rowsOf, shareOf), draw(random, 150, rowsOf, shareOf))
        if (p !== null && p < 0.05) alarms++
      }
      expect(alarms / runs).toBeGreaterThan(0.03)
      expect(alarms / runs).toBeLessThan(0.07)
    }
  })

  it('counts rows of few entities, or of a thinned sample, as less', () => {
    const sums = createEntitySums(2)
    for (let e = 0; e < 10; e++) addEntity(sums, Array<number>(100).fill(e === 0 ? 0 : 1))
    expect(effectiveRows(sums, 0, 1000, 1000)).toBeCloseTo(10)
    expect(effectiveRows(sums, 0, 4000, 1000)).toBeLessThan(11)
    expect(effectiveRows(createEntitySums(2), 0, 100, 100)).toBe(0)
  })
})
