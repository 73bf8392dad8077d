import type { ByteReader, ByteWriter } from '../values/binary.ts'
import { countsBytes, fixedBytes, inTurn, times, uintBytes, valueBytes } from '../states/greatest-bytes.ts'
import type { FoldRow } from '../states/state.ts'
import { tooManyCategories } from '../states/too-many-categories.ts'
import { compareUtf8 } from '../values/utf8-order.ts'
import type { ValueCodec } from '../values/value-codec.ts'
import { valueCodec } from '../values/value-codec.ts'
import type { ColumnType, Scalar } from '../values/value-type.ts'
import type { Accumulator, Aggregate } from './aggregate.ts'

/** The maximum number of categories of a feature. */
export interface CategoryLimit {
  readonly view: string
  readonly feature: string
  /** With more categories the feature fails. */
  readonly cap: number
  /** The greatest cap of the features that share the counts. */
  readonly shared: number
}

/**
 * An aggregate over the counts of non-null values, exact up to the cap. Null if there are no values.
 *
 * @param read computes the feature from counts that are not empty
 * @throws LockstepError (`value`) `TOO_MANY_CATEGORIES`
 */
export function ofCategories(
  slot: number,
  type: ColumnType,
  limit: CategoryLimit,
  read: (counts: ReadonlyMap<Scalar, number>) => ReturnType<Aggregate['value']>,
): Aggregate<CategoryCounts> {
  const codec = valueCodec(type)
  return {
    lane: `categories:${slot}`,
    create: () => new CategoryCounts(slot, limit.shared, codec, new Map()),
    decode: (reader) => CategoryCounts.decode(slot, limit.shared, codec, reader),
    value({ counts }) {
      if (counts === null || counts.size > limit.cap) throw tooManyCategories(limit)
      return counts.size === 0 ? null : read(counts)
    },
    greatestBytes: () => inTurn(fixedBytes(uintBytes(limit.shared + 1) + countsBytes(limit.shared)), times(limit.shared, valueBytes(type))),
  }
}

/** Counts up to a cap. Beyond it there are no counts, whatever the order of the values. */
class CategoryCounts implements Accumulator {
  /** null: more than `cap` categories. */
  counts: Map<Scalar, number> | null
  readonly #slot: number
  readonly #cap: number
  readonly #codec: ValueCodec

  constructor(slot: number, cap: number, codec: ValueCodec, counts: Map<Scalar, number> | null) {
    this.#slot = slot
    this.#cap = cap
    this.#codec = codec
    this.counts = counts
  }

  static decode(slot: number, cap: number, codec: ValueCodec, reader: ByteReader): CategoryCounts {
    let left = reader.uint()
    if (left === 0) return new CategoryCounts(slot, cap, codec, null)
    const counts = new Map<Scalar, number>()
    while (--left > 0) counts.set(codec.read(reader) as Scalar, reader.uint())
    return new CategoryCounts(slot, cap, codec, counts)
  }

  add(row: FoldRow): void {
    const value = row.values[this.#slot] as Scalar | null
    // A lone surrogate has no UTF-8 bytes of its own, so it counts as the character that is stored for it.
    if (value !== null) this.#count(typeof value === 'string' ? value.toWellFormed() : value, 1)
  }

  merge(other: CategoryCounts): void {
    if (other.counts === null) this.counts = null
    else for (const [value, count] of other.counts) this.#count(value, count)
  }

  remove(other: CategoryCounts): boolean {
    if (this.counts === null || other.counts === null) return false
    for (const [value, count] of other.counts) {
      const left = (this.counts.get(value) ?? 0) - count
      if (left < 0) return false
      if (left === 0) this.counts.delete(value)
      else this.counts.set(value, left)
    }
    return true
  }

  /** Writes the number of categories plus one, or 0 beyond the cap; then each category with its count, in order. */
  encode(writer: ByteWriter): void {
    writer.uint(this.counts === null ? 0 : this.counts.size + 1)
    for (const [value, count] of [...(this.counts ?? [])].sort(([a], [b]) => compareCategories(a, b))) {
      this.#codec.write(writer, value)
      writer.uint(count)
    }
  }

  #count(value: Scalar, count: number): void {
    if (this.counts === null) return
    const before = this.counts.get(value)
    if (before === undefined && this.counts.size >= this.#cap) this.counts = null
    else this.counts.set(value, (before ?? 0) + count)
  }
}

/** Orders texts by their UTF-8 bytes, numbers by value, and false before true. */
export function compareCategories(a: Scalar, b: Scalar): number {
  if (typeof a === 'string' && typeof b === 'string') return compareUtf8(a, b)
  return a < b ? -1 : a > b ? 1 : 0
}
