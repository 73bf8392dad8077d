interface Asked<Key, Value> {
  readonly keys: readonly Key[]
  resolve(values: Value[]): void
  reject(error: unknown): void
}

/**
 * Collects the keys that are requested in one turn of the event loop and reads them together, by index. With more than
 * `atOnce` keys, the callers are answered in groups of about that size, one group a turn, so that one group is
 * processed while the next is fetched. A single caller with as many keys, while nobody else waits, is read at once.
 */
export function coalesced<Key, Value>(
  answer: (keys: readonly Key[]) => Promise<Value[]>,
  atOnce: number,
): (keys: readonly Key[]) => Promise<Value[]> {
  let waiting: Asked<Key, Value>[] = []

  function flush(): void {
    let count = 0
    for (let keys = 0; count < waiting.length && keys < atOnce; count++) keys += (waiting[count] as Asked<Key, Value>).keys.length
    const group = waiting
    waiting = count < group.length ? group.splice(count) : []
    if (waiting.length > 0) setImmediate(flush)
    void answerGroup(group)
  }

  async function answerGroup(group: readonly Asked<Key, Value>[]): Promise<void> {
    try {
      const only = group.length === 1 ? group[0] : undefined
      const values = await answer(only?.keys ?? group.flatMap(({ keys }) => keys))
      if (only !== undefined) return only.resolve(values)
      let at = 0
      for (const asked of group) asked.resolve(values.slice(at, (at += asked.keys.length)))
    } catch (error) {
      for (const asked of group) asked.reject(error)
    }
  }

  return (keys) =>
    new Promise((resolve, reject) => {
      const asked = { keys, resolve, reject }
      if (waiting.length > 0) waiting.push(asked)
      else if (keys.length >= atOnce) void answerGroup([asked])
      else {
        setImmediate(flush)
        waiting.push(asked)
      }
    })
}
