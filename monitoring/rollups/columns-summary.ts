import { ByteReader, ByteWriter } from '../../kernel/values/binary.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { ColumnBinCounts } from './binned-rows.ts'
import { BinnedRows } from './binned-rows.ts'
import { noBins } from './bin-layout.ts'
import { ColumnSummary } from './column-summary.ts'

/** The first byte of an encoded summary. */
const format = 2

/** An entity that was erased, as samples know it. */
export interface ForgottenEntity {
  /** The hash of its key. */
  readonly entity: number
  /** The hash of its key as a category; null: its key is not one text. */
  readonly text: number | null
}

/** The rows of a column by bin. */
export interface BinnedColumnRows {
  /** About how many distinct entities with the column's key the rows have. */
  readonly entities: number
  readonly bins: readonly ColumnBinCounts[]
}

/** The features and outputs of a model version in a rollup. Summaries merge exactly, in any order and split. */
export class ColumnsSummary {
  /** By name of the feature; `output:NAME` for an output. */
  readonly columns: Map<string, ColumnSummary>
  readonly #binned: Map<string, BinnedRows>

  /** @param binned by key of the service (`columnKeys`): the columns with this key */
  constructor(columns = new Map<string, ColumnSummary>(), binned = new Map<string, BinnedRows>()) {
    this.columns = columns
    this.#binned = binned
  }

  /**
   * Adds a row to the columns with a key.
   *
   * @param key the name of the key
   * @param entity the hash of the row's key
   * @param bins as for `BinnedRows`
   */
  addBins(key: string, entity: number, bins: Int32Array): void {
    this.#binned.get(key)?.add(entity, bins)
  }

  /** About how many distinct entities the rows have, by the key that has most. */
  distinctEntities(): number {
    return Math.max(0, ...Array.from(this.#binned.values(), (binned) => binned.distinctEntities()))
  }

  /** By column. A column whose key changed meanwhile has the entries of both, those with more rows first. */
  binnedColumns(): Map<string, BinnedColumnRows> {
    const found = new Map<string, BinnedColumnRows>()
    for (const binned of this.#binned.values()) {
      const entities = binned.distinctEntities()
      for (const [column, bins] of binned.columns()) {
        const other = found.get(column)
        found.set(
          column,
          other === undefined
            ? { entities, bins }
            : { entities: Math.min(entities, other.entities), bins: [...other.bins, ...bins].sort((a, b) => rowsOf(b) - rowsOf(a)) },
        )
      }
    }
    return found
  }

  /**
   * Removes an entity from the samples of all keys, because a service may name its key differently.
   *
   * @returns whether a sample had it
   */
  forget({ entity, text }: ForgottenEntity): boolean {
    let had = false
    for (const [key, binned] of this.#binned) {
      const rest = binned.without(entity)
      if (rest === null) continue
      this.#binned.set(key, rest)
      had = true
    }
    if (text === null) return had
    for (const column of this.columns.values()) {
      const values = column.values?.without(text) ?? null
      if (values === null) continue
      column.values = values
      had = true
    }
    return had
  }

  merge(other: ColumnsSummary): void {
    for (const [name, column] of other.columns) {
      let own = this.columns.get(name)
      if (own === undefined) this.columns.set(name, (own = new ColumnSummary()))
      own.merge(column)
    }
    for (const [key, binned] of other.#binned) {
      let own = this.#binned.get(key)
      if (own === undefined) this.#binned.set(key, (own = new BinnedRows(noBins)))
      own.merge(binned)
    }
  }

  /** Equal summaries give equal bytes. */
  encode(): Buffer {
    const writer = new ByteWriter(4096)
    writer.byte(format)
    writer.uint(this.columns.size)
    for (const [name, column] of byName(this.columns)) {
      writer.string(name)
      column.encode(writer)
    }
    writer.uint(this.#binned.size)
    for (const [key, binned] of byName(this.#binned)) {
      writer.string(key)
      binned.encode(writer)
    }
    return writer.bytes()
  }

  /** null: another version of Lockstep wrote the bytes. */
  static decode(bytes: Uint8Array): ColumnsSummary | null {
    const reader = new ByteReader(bytes)
    if (reader.byte() !== format) return null
    const columns = new Map<string, ColumnSummary>()
    for (let left = reader.uint(); left > 0; left--) columns.set(reader.string(), ColumnSummary.decode(reader))
    const binned = new Map<string, BinnedRows>()
    for (let left = reader.uint(); left > 0; left--) binned.set(reader.string(), BinnedRows.decode(reader))
    return new ColumnsSummary(columns, binned)
  }

  /** Whether bytes, which may be the beginning of a summary, have all of its columns. */
  static hasSummaries(bytes: Uint8Array): boolean {
    try {
      this.someOf(bytes, () => false)
      return true
    } catch (error) {
      if (error instanceof LockstepError && error.code === 'STATE_CORRUPT') return false
      throw error
    }
  }

  /** Some of the columns, of bytes that may end before the bins. null: another version of Lockstep wrote the bytes. */
  static someOf(bytes: Uint8Array, isWanted: (name: string) => boolean): Map<string, ColumnSummary> | null {
    const reader = new ByteReader(bytes)
    if (reader.byte() !== format) return null
    const columns = new Map<string, ColumnSummary>()
    for (let left = reader.uint(); left > 0; left--) {
      const name = reader.string()
      if (isWanted(name)) columns.set(name, ColumnSummary.decode(reader))
      else ColumnSummary.skip(reader)
    }
    return columns
  }
}

function byName<T>(map: ReadonlyMap<string, T>): [string, T][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1))
}

function rowsOf({ counts }: ColumnBinCounts): number {
  return counts.reduce((sum, count) => sum + count, 0)
}
