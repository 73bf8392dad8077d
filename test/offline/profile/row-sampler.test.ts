import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Status } from '../../../kernel/states/state.ts'
import type { RowSample } from '../../../offline/profile/row-sampler.ts'
import { RowSampler } from '../../../offline/profile/row-sampler.ts'
import { budget } from '../../budget.ts'

/** Samples the rows 0, 1, 2 … in batches of these sizes. */
function sample(sizes: readonly number[], maxRows?: number): RowSample {
  const sampler = new RowSampler(1, 2, 1, maxRows)
  let first = 0
  for (const size of sizes) {
    const numbers = Array.from({ length: size }, (_, i) => first + i)
    sampler.update([numbers], [numbers.map(() => Status.present)], [[numbers.map((number) => `e${number % 7}`)]], size)
    first += size
  }
  return sampler.result()
}

it('keeps every row of a small set, and the same rows however it is cut', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 200 }), { minLength: 1, maxLength: 8 }), (sizes) => {
      const rows = sizes.reduce((sum, size) => sum + size, 0)
      const cut = sample(sizes)
      expect(cut).toEqual(sample([rows]))
      expect(cut.rows).toBe(rows)
      expect(cut.columns[0]?.map(Number).toSorted((a, b) => a - b)).toEqual(Array.from({ length: rows }, (_, i) => i))
    }),
    { numRuns: budget(100) },
  )
})

it('keeps a uniform sample of a large set, and the same one however it is cut', () => {
  const cut = sample(
    Array.from({ length: 20 }, () => 1_000),
    2_000,
  )
  expect(cut).toEqual(sample([20_000], 2_000))
  const { rows, columns } = cut
  const numbers = (columns[0] ?? []).map(Number)
  expect([rows, numbers.length]).toEqual([20_000, 2_000])
  expect(new Set(numbers).size).toBe(2_000)
  for (let tenth = 0; tenth < 10; tenth++) {
    const here = numbers.filter((number) => Math.floor(number / 2_000) === tenth).length
    expect(here).toBeGreaterThan(140) // 200 ± 13
    expect(here).toBeLessThan(260)
  }
})

it('takes rows with a null in their key for entities of their own', () => {
  const sampler = new RowSampler(1, 1, 2)
  sampler.update(
    [[1, 2, 3, 4]],
    [[Status.present, Status.present, Status.present, Status.present]],
    [[['a', null, 'a', null]], [['b', 'b', 'b', null]]],
    4,
  )
  expect(sampler.result().entities.map((key) => new Set(key).size)).toEqual([3, 2])
})
