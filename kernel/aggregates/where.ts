import type { ByteWriter } from '../values/binary.ts'
import type { FoldRow } from '../states/state.ts'
import type { Accumulator, Aggregate } from './aggregate.ts'

/** An aggregate over the rows whose value in `slot`, a bool, is true. Rows with false or null are left out. */
export function where(slot: number, inner: Aggregate): Aggregate<FilteredAccumulator> {
  return {
    lane: `${inner.lane} where ${slot}`,
    create: () => new FilteredAccumulator(slot, inner.create()),
    decode: (reader) => new FilteredAccumulator(slot, inner.decode(reader)),
    value: (a) => inner.value(a.inner),
    isFull: (a) => inner.isFull?.(a.inner) ?? false,
    greatestBytes: (tie) => inner.greatestBytes(tie),
  }
}

class FilteredAccumulator implements Accumulator {
  readonly inner: Accumulator
  readonly #slot: number

  constructor(slot: number, inner: Accumulator) {
    this.#slot = slot
    this.inner = inner
  }

  add(row: FoldRow): void {
    if (row.values[this.#slot] === true) this.inner.add(row)
  }

  merge(other: FilteredAccumulator): void {
    this.inner.merge(other.inner)
  }

  remove(other: FilteredAccumulator): boolean {
    return this.inner.remove(other.inner)
  }

  encode(writer: ByteWriter): void {
    this.inner.encode(writer)
  }
}
