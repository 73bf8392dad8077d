import { expect, it } from 'vitest'
import { readAfterMs } from '../../ui/api/read-every.ts'

it('reads less often what stays the same', () => {
  expect([-2, 0, 1, 2, 3, 100].map((unchanged) => readAfterMs(5000, unchanged))).toEqual([5000, 5000, 10_000, 15_000, 15_000, 15_000])
})
