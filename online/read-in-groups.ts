type Values = (Buffer | null)[]

/** Keys of one MGET: large enough to amortize the round trip, small enough not to hold Redis up. */
export const keysPerRead = 1_000
/** Keys of the first group of a larger read. They show how large its values are. */
const firstKeys = 250
/** Redis keeps the answers that the reader has not taken yet. So several groups are on their way, but few bytes. */
const groupsAtOnce = 4
const bytesPerGroup = 8 * 1024 * 1024

/**
 * Reads many keys in groups, each as large as the sizes of the values before allow. Up to `keysPerRead` keys are one
 * group.
 *
 * @param read reads the keys of one group
 * @returns by index of `keys`
 */
export async function readInGroups<Key>(keys: readonly Key[], read: (keys: readonly Key[]) => Promise<Values>): Promise<Values> {
  if (keys.length <= keysPerRead) return await read(keys)
  const values = new Array<Buffer | null>(keys.length)
  let next = 0
  let size = firstKeys

  async function readNext(): Promise<void> {
    const from = next
    next = Math.min(keys.length, from + size)
    const found = await read(keys.slice(from, next))
    let bytes = 0
    for (let i = 0; i < found.length; i++) {
      const value = found[i] as Buffer | null
      values[from + i] = value
      if (value !== null) bytes += value.length
    }
    size = Math.max(1, Math.min(keysPerRead, Math.floor((bytesPerGroup * found.length) / Math.max(1, bytes))))
  }

  async function readRest(): Promise<void> {
    while (next < keys.length) await readNext()
  }

  await readNext()
  try {
    await Promise.all(Array.from({ length: groupsAtOnce }, readRest))
  } finally {
    // after a failure, no further group is read
    next = keys.length
  }
  return values
}
