import { ByteReader, ByteWriter } from '../../kernel/values/binary.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { BinnedRows } from './binned-rows.ts'
import { noBins } from './bin-layout.ts'
import { ColumnSummary } from './column-summary.ts'

/** The first byte of an encoded summary. */
const format = 1

/** An entity that was erased, as samples know it. */
export interface ForgottenEntity {
  /** The hash of its key. */
  readonly entity: number
  /** The hash of its key as a category; null: its key is not one text. */
  readonly text: number | null
}

/** The features and outputs of a model version in a rollup. Summaries merge exactly, in any order and split. */
export class ColumnsSummary {
  /** By name of the feature; `output:NAME` for an output. */
  readonly columns: Map<string, ColumnSummary>
  #binned: BinnedRows

  constructor(columns = new Map<string, ColumnSummary>(), binned = new BinnedRows(noBins)) {
    this.columns = columns
    this.#binned = binned
  }

  get binned(): BinnedRows {
    return this.#binned
  }

  /** Removes an entity from the samples. @returns whether they had it */
  forget({ entity, text }: ForgottenEntity): boolean {
    const binned = this.#binned.without(entity)
    if (binned !== null) this.#binned = binned
    let had = binned !== null
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
    this.#binned.merge(other.#binned)
  }

  /** Equal summaries give equal bytes. */
  encode(): Buffer {
    const writer = new ByteWriter(4096)
    writer.byte(format)
    writer.uint(this.columns.size)
    for (const [name, column] of [...this.columns].sort(([a], [b]) => (a < b ? -1 : 1))) {
      writer.string(name)
      column.encode(writer)
    }
    this.#binned.encode(writer)
    return writer.bytes()
  }

  /** null: a later version of Lockstep wrote the bytes. */
  static decode(bytes: Uint8Array): ColumnsSummary | null {
    const reader = new ByteReader(bytes)
    if (reader.byte() !== format) return null
    const columns = new Map<string, ColumnSummary>()
    for (let left = reader.uint(); left > 0; left--) columns.set(reader.string(), ColumnSummary.decode(reader))
    return new ColumnsSummary(columns, BinnedRows.decode(reader))
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

  /** Some of the columns, of bytes that may end before the bins. null: a later version of Lockstep wrote the bytes. */
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
