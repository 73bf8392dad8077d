/** The most frequent values of a column of texts or truth values. */
export interface TopValues {
  /** By count, descending, then in the order of the values: 20 at most. */
  readonly top: readonly { readonly value: string | boolean; readonly count: number }[]
  /** Number of different values; null where there were more than were kept. */
  readonly distinct: number | null
  /** Whether some values were not kept: each count is then too small by `error` at most. */
  readonly approximate: boolean
  readonly error: number
}

export interface ValueCountsState {
  readonly error: number
  readonly counts: readonly (readonly [value: string | boolean, count: number])[]
}

const shown = 20
/** Different values that are kept. */
export const keptValues = 4096
/** Longer texts count as what they begin with. */
export const keptCharacters = 200

/**
 * Counts values exactly as long as there are 4,096 different ones; beyond, the rarest are taken away in turn, with as
 * much from all others (Misra and Gries, 1982), so that memory is bounded and the error known: at most a 4,096th of the
 * values.
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

  /** Counts what others counted, too: exactly, as long as there are not too many different values. */
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
