import { expect, it } from 'vitest'
import { readInGroups } from '../../online/read-in-groups.ts'

const keys = Array.from({ length: 5_003 }, (_, i) => i)

/** @param sizeOf the bytes of a value; null: there is none */
async function read(sizeOf: (key: number) => number | null, count = keys.length) {
  const groups: number[] = []
  let [underWay, most] = [0, 0]
  const values = await readInGroups(keys.slice(0, count), async (group) => {
    const values = group.map((key) => {
      const size = sizeOf(key)
      return size === null ? null : Buffer.alloc(size, key)
    })
    const bytes = values.reduce((sum, value) => sum + (value?.length ?? 0), 0)
    groups.push(group.length)
    most = Math.max(most, (underWay += bytes))
    await new Promise((resolve) => setImmediate(resolve))
    underWay -= bytes
    return values
  })
  expect(values).toHaveLength(count)
  expect(values.every((value, i) => (value === null ? sizeOf(i) === null : value.length === sizeOf(i) && value[0] === i % 256))).toBe(true)
  return { groups, most }
}

it('up to 1,000 keys are one group, whatever their values', async () => {
  expect((await read(() => 10_000, 1_000)).groups).toEqual([1_000])
})

it('small or absent values are read in large groups, after a smaller one', async () => {
  expect((await read((key) => (key % 2 === 0 ? null : 300))).groups).toEqual([250, 1_000, 1_000, 1_000, 1_000, 753])
  expect((await read(() => null)).groups).toEqual([250, 1_000, 1_000, 1_000, 1_000, 753])
})

it('large values are read in small groups, so that few bytes are on their way', async () => {
  const { groups, most } = await read(() => 30_000)
  expect(groups.slice(0, 2)).toEqual([250, Math.floor((8 * 1024 * 1024) / 30_000)])
  expect(most).toBeLessThan(40 * 1024 * 1024)
})

it('after a failure no further group is read', async () => {
  let groups = 0
  const failed = readInGroups(keys, async (group) => {
    groups++
    await new Promise((resolve) => setImmediate(resolve))
    if (groups > 2) throw new Error('gone')
    return group.map(() => null)
  })
  await expect(failed).rejects.toThrow('gone')
  const before = groups
  await new Promise((resolve) => setImmediate(resolve))
  expect(groups).toBe(before)
  expect(groups).toBeLessThanOrEqual(5)
})
