/** Lets so many run at once; further ones wait, in the order in which they came. */
export interface Slots {
  run<T>(fn: () => Promise<T>): Promise<T>
}

export function createSlots(count: number): Slots {
  const waiting: (() => void)[] = []
  let free = count
  return {
    async run(fn) {
      if (free > 0) free--
      else await new Promise<void>((resolve) => waiting.push(resolve))
      try {
        return await fn()
      } finally {
        // the slot passes to the next that waits, so that no newcomer can take it
        const next = waiting.shift()
        if (next === undefined) free++
        else next()
      }
    },
  }
}
