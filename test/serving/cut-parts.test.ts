import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cutParts } from '../../serving/batch/cut-parts.ts'
import { budget } from '../budget.ts'

const entity = (from: number, to: number) => ({ from, to })

describe('the parts of a batch', () => {
  it('end where a large entity begins', () => {
    expect(cutParts(100, 40, [entity(30, 60), entity(60, 90)])).toEqual([entity(0, 30), entity(30, 60), entity(60, 100)])
    expect(cutParts(100, 50, [])).toEqual([entity(0, 50), entity(50, 100)])
    expect(cutParts(0, 50, [])).toEqual([entity(0, 0)])
  })

  it('hold rows of one entity alone, if it has more rows than a part', () => {
    expect(cutParts(100, 20, [entity(10, 75)])).toEqual([
      entity(0, 10),
      entity(10, 30),
      entity(30, 50),
      entity(50, 70),
      entity(70, 75),
      entity(75, 95),
      entity(95, 100),
    ])
  })

  it('have all rows once, are never too large, and split no large entity that fits', () => {
    const spines = fc.record({
      sizes: fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 30 }),
      rowsPerPart: fc.integer({ min: 1, max: 40 }),
    })
    fc.assert(
      fc.property(spines, ({ sizes, rowsPerPart }) => {
        let rows = 0
        const all = sizes.map((size) => entity(rows, (rows += size)))
        const large = all.filter(({ from, to }) => to - from > rowsPerPart / 4)
        const parts = cutParts(rows, rowsPerPart, large)
        expect(parts.map(({ from }) => from)).toEqual([0, ...parts.slice(0, -1).map(({ to }) => to)])
        expect(parts.at(-1)?.to).toBe(rows)
        for (const { from, to } of parts) expect(to - from).toBeLessThanOrEqual(rowsPerPart)
        for (const each of large) {
          const inside = parts.filter(({ from, to }) => from < each.to && to > each.from)
          if (each.to - each.from <= rowsPerPart) expect(inside).toHaveLength(1)
          else expect(inside.every(({ from, to }) => from >= each.from && to <= each.to)).toBe(true)
        }
        // two neighbors that fit in one part stand in one, unless a large entity is between them
        expect(parts.length).toBeLessThanOrEqual(2 * Math.ceil(rows / rowsPerPart) + 2 * large.length + 1)
      }),
      { numRuns: budget(1000) },
    )
  })
})
