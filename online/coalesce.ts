interface Asked<Key, Value> {
  readonly keys: readonly Key[]
  resolve(values: Value[]): void
  reject(error: unknown): void
}

/**
 * Gathers the keys that are asked for in one turn of the event loop, and has them answered together, by index. Where
 * more than `atOnce` keys have come, those who ask are answered in groups of about as many, one a turn: what was
 * answered is then worked on while the next is fetched. Who asks for as many alone, while nobody waits, is answered by
 * themselves at once.
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
