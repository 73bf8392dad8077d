import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addEntity, clusteredShares, createEntitySums } from '../../statistics/clustered-shares.ts'
import { driftTest } from '../../statistics/drift-test.ts'
import { mergeRareBins } from '../../statistics/merge-rare-bins.ts'
import { createRandom } from '../../statistics/random.ts'
import { budget } from '../budget.ts'

const bins = 6

function sumsOf(entities: readonly (readonly number[])[]) {
  const sums = createEntitySums(bins)
  for (const rows of entities) addEntity(sums, rows)
  return sums
}

describe('merging rare bins', () => {
  it('gives the sums that counting the merged bins gives', () => {
    const entities = fc.array(fc.array(fc.nat({ max: bins - 1 }), { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 30 })
    fc.assert(
      fc.property(entities, entities, (first, second) => {
        const [a, b] = mergeRareBins(sumsOf(first), sumsOf(second))
        const rows = [first.flat(), second.flat()] as const
        const smaller = Math.min(rows[0].length, rows[1].length)
        const total = rows[0].length + rows[1].length
        const count = (bin: number) => [...rows[0], ...rows[1]].filter((each) => each === bin).length
        const all = [0, 1, 2, 3, 4, 5]
        const places: number[] = []
        let group: number[] = []
        for (const bin of all) {
          group.push(bin)
          if (group.reduce((sum, each) => sum + count(each), 0) * smaller < 5 * total) continue
          for (const each of group) places[each] = group[0] as number
          group = []
        }
        for (const bin of group) places[bin] = places.at(-1) ?? 0
        const place = (bin: number) => places[bin] as number
        const moved = (of: readonly (readonly number[])[]) => sumsOf(of.map((own) => own.map(place)))
        expect([a, b]).toEqual([moved(first), moved(second)])
      }),
      {
        numRuns: budget(300),
        // exactly five rows are expected in the first two bins
        examples: [
          [
            [
              [3, 0, 3, 3],
              [3, 3, 0, 0, 3, 3],
            ],
            [
              [0, 3],
              [4, 3, 0],
              [4, 3, 0],
              [0, 0],
              [3, 0, 0, 0, 0, 5],
              [0, 0],
            ],
          ],
        ],
      },
    )
  })

  it('keeps the level of the test where bins are nearly empty', () => {
    const random = createRandom(11)
    const repeats = budget(6000)
    const draw = (rows: number) => {
      const sums = createEntitySums(bins)
      for (let left = rows; left > 0; left -= 2) {
        const own = random.next()
        // bins 4 and 5 have 3 and 1 in a thousand rows; both rows of an entity are mostly in one bin
        const bin = () => (random.next() < 0.7 ? binOf(own) : binOf(random.next()))
        addEntity(sums, [bin(), bin()])
      }
      return sums
    }
    const binOf = (value: number) => (value > 0.999 ? 5 : value > 0.996 ? 4 : Math.floor(value * 4.01) % 4)
    let alarms = 0
    for (let i = 0; i < repeats; i++) {
      const [first, second] = mergeRareBins(draw(2000), draw(600)).map(clusteredShares)
      if (first !== undefined && second !== undefined && (driftTest(first, second).p ?? 1) < 0.05) alarms++
    }
    const allowed = 0.2 + 2 * Math.sqrt(0.95 / 0.05 / repeats)
    expect(Math.abs(alarms / repeats / 0.05 - 1)).toBeLessThan(allowed)
  })
})
