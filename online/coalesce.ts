interface Asked<Key, Value> {
  readonly keys: readonly Key[]
  resolve(values: Value[]): void
  reject(error: unknown): void
}

/** Gathers the keys that are asked for in one turn of the event loop, and has them answered at once, by index. */
export function coalesced<Key, Value>(answer: (keys: readonly Key[]) => Promise<Value[]>): (keys: readonly Key[]) => Promise<Value[]> {
  let waiting: Asked<Key, Value>[] = []

  async function flush(): Promise<void> {
    const all = waiting
    waiting = []
    try {
      const only = all.length === 1 ? all[0] : undefined
      const values = await answer(only?.keys ?? all.flatMap(({ keys }) => keys))
      if (only !== undefined) return only.resolve(values)
      let at = 0
      for (const asked of all) asked.resolve(values.slice(at, (at += asked.keys.length)))
    } catch (error) {
      for (const asked of all) asked.reject(error)
    }
  }

  return (keys) =>
    new Promise((resolve, reject) => {
      if (waiting.length === 0) setImmediate(flush)
      waiting.push({ keys, resolve, reject })
    })
}
