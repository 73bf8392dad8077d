/** The most frequent values of a column of texts or booleans. */
export interface TopValues {
  /** By count, descending, then in value order: 20 at most. */
  readonly top: readonly { readonly value: string | boolean; readonly count: number }[]
  /** The number of different values; null where there were more than are kept. */
  readonly distinct: number | null
  /** The greatest error of a count: each may be too small by up to `error`, because some values were not kept. */
  readonly approximate: boolean
  readonly error: number
}

export interface ValueCountsState {
  readonly error: number
  readonly counts: readonly (readonly [value: string | boolean, count: number])[]
}

const shown = 20
/** The number of different values that are kept. */
const keptValues = 4096
/** A longer text counts as its beginning. */
const keptCharacters = 200

/**
 * Counts values exactly up to 4,096 different ones. Beyond that, the rarest values are dropped in turn, and the same
 * count is subtracted from all others (Misra and Gries, 1982). So memory is bounded, and the error is known: at most a
 * 4,096th of the values.
 */
export class ValueCounts {
  #counts = new Map<string | boolean, number>()
  #error = 0

  add(value: string | boolean): void {
    const key = typeof value === 'string' && value.length > keptCharacters ? `${value.slice(0, keptCharacters)}…` : value
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1)
    if (this.#counts.size > 8 * keptValues) this.#prune()
  }

  state(): ValueCountsState {
    return { error: this.#error, counts: [...this.#counts] }
  }

  /** Adds the counts of another collector. They are exact unless there are too many different values. */
  merge({ error, counts }: ValueCountsState): void {
    this.#error += error
    for (const [value, count] of counts) this.#counts.set(value, (this.#counts.get(value) ?? 0) + count)
    if (this.#counts.size > 8 * keptValues) this.#prune()
  }

  result(): TopValues {
    if (this.#counts.size > keptValues) this.#prune()
    const all = [...this.#counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
    return {
      top: all.slice(0, shown).map(([value, count]) => ({ value, count })),
      distinct: this.#error === 0 ? all.length : null,
      approximate: this.#error > 0,
      error: this.#error,
    }
  }

  #prune(): void {
    const counts = Float64Array.from(this.#counts.values()).sort()
    const taken = counts[counts.length - 1 - keptValues] as number
    this.#error += taken
    const kept = new Map<string | boolean, number>()
    for (const [value, count] of this.#counts) if (count > taken) kept.set(value, count - taken)
    this.#counts = kept
  }
}
