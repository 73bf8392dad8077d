export interface SeenUnits {
  has(key: string): boolean
  add(key: string): void
}

/** Remembers at least the last `max / 2` keys that were added or asked for, and at most `max`. */
export function createSeenUnits(max: number): SeenUnits {
  let recent = new Set<string>()
  let older = new Set<string>()
  function add(key: string): void {
    if (recent.size >= max / 2) {
      older = recent
      recent = new Set()
    }
    recent.add(key)
  }
  return {
    has(key) {
      if (recent.has(key)) return true
      if (!older.has(key)) return false
      add(key)
      return true
    },
    add,
  }
}
