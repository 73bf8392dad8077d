import type { Value, ValueType } from '../../kernel/values/value-type.ts'

/** The values of a column that wait until their row group is written. */
export interface GroupColumn {
  /** Adds the values [from, to). */
  add(values: readonly (Value | null)[], from: number, to: number): void
  /** Removes all values. The next `add` may overwrite them. */
  take(): unknown[] | Float64Array
}

/**
 * @param convert makes a value what the Parquet writer takes; null: it takes the values as they are
 * @param rows at most so many values wait
 */
export function createGroupColumn({ kind }: ValueType, convert: ((value: Value) => unknown) | null, rows: number): GroupColumn {
  if (kind === 'int32' || kind === 'float32' || kind === 'float64' || kind === 'timestamp') return new NumberColumn(rows)
  let values: unknown[] = []
  return {
    add(batch, from, to) {
      for (let i = from; i < to; i++) {
        const value = batch[i] ?? null
        values.push(value === null || convert === null ? value : convert(value))
      }
    },
    take() {
      const taken = values
      values = []
      return taken
    },
  }
}

/** Numbers without null lie in one array for all groups, so the garbage collector has nothing to move or free. */
class NumberColumn implements GroupColumn {
  readonly #numbers: Float64Array
  #length = 0
  /** All values, once one of them is no number. */
  #values: (Value | null)[] | null = null

  constructor(rows: number) {
    this.#numbers = new Float64Array(rows)
  }

  add(batch: readonly (Value | null)[], from: number, to: number): void {
    let i = from
    if (this.#values === null) {
      for (; i < to; i++) {
        const value = batch[i]
        if (typeof value !== 'number') break
        this.#numbers[this.#length++] = value
      }
      if (i < to) this.#values = Array.from(this.#numbers.subarray(0, this.#length))
    }
    if (this.#values !== null) for (; i < to; i++) this.#values.push(batch[i] ?? null)
  }

  take(): (Value | null)[] | Float64Array {
    const taken = this.#values ?? this.#numbers.subarray(0, this.#length)
    this.#values = null
    this.#length = 0
    return taken
  }
}
