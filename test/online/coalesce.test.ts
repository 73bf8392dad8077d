import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { coalesced } from '../../online/coalesce.ts'

const doubled = (asked: number[][]) => async (keys: readonly number[]) => {
  asked.push([...keys])
  return keys.map((key) => key * 2)
}

test('requests of one turn are answered together, each with its own values', async () => {
  const asked: number[][] = []
  const ask = coalesced(doubled(asked), 100)
  expect(await Promise.all([ask([1, 2]), ask([3]), ask([])])).toEqual([[2, 4], [6], []])
  expect(await ask([4])).toEqual([8])
  expect(asked).toEqual([[1, 2, 3], [4]])
})

test('each turn answers one group of many, and never splits one request', async () => {
  const asked: number[][] = []
  const ask = coalesced(doubled(asked), 3)
  const answers = [ask([1, 2]), ask([3, 4]), ask([5]), ask([6, 7, 8, 9]), ask([10])]
  await nextTurn()
  expect(asked).toEqual([[1, 2, 3, 4]])
  const late = ask([11])
  expect(await Promise.all([...answers, late])).toEqual([[2, 4], [6, 8], [10], [12, 14, 16, 18], [20], [22]])
  expect(asked).toEqual([
    [1, 2, 3, 4],
    [5, 6, 7, 8, 9],
    [10, 11],
  ])
})

test('a large enough request waits for no others', async () => {
  const asked: number[][] = []
  const ask = coalesced(doubled(asked), 3)
  const answers = [ask([1, 2, 3]), ask([0, 0, 0, 0]), ask([4]), ask([5, 6, 7, 8])]
  const atOnce = [
    [1, 2, 3],
    [0, 0, 0, 0],
  ]
  expect(asked).toEqual(atOnce)
  expect(await Promise.all(answers)).toEqual([[2, 4, 6], [0, 0, 0, 0], [8], [10, 12, 14, 16]])
  expect(asked).toEqual([...atOnce, [4, 5, 6, 7, 8]])
})

test('a failure affects only the requests of one group', async () => {
  const ask = coalesced(async (keys: readonly number[]) => {
    if (keys.includes(3)) throw new Error('three')
    return [...keys]
  }, 2)
  const [first, second, third] = await Promise.allSettled([ask([1, 2]), ask([3, 4]), ask([5])])
  expect([first?.status, second?.status, third?.status]).toEqual(['fulfilled', 'rejected', 'fulfilled'])
})
