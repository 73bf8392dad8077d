import type { ByteReader, ByteWriter } from '../values/binary.ts'
import { countBytes, fixedBytes } from '../states/greatest-bytes.ts'
import type { FoldRow } from '../states/state.ts'
import type { Accumulator, Aggregate } from './aggregate.ts'

const maxInt32 = 0x7fff_ffff

/** The number of rows; with a slot, only rows with a non-null value there. Zero if there are none. */
export function count(slot: number | null): Aggregate<CountAccumulator> {
  return {
    lane: slot === null ? 'rows' : `count:${slot}`,
    create: () => new CountAccumulator(slot, 0),
    decode: (reader: ByteReader) => new CountAccumulator(slot, reader.uint()),
    value: ({ total }) => (total <= maxInt32 ? total : undefined),
    greatestBytes: () => fixedBytes(countBytes),
  }
}

class CountAccumulator implements Accumulator {
  total: number
  readonly #slot: number | null

  constructor(slot: number | null, total: number) {
    this.#slot = slot
    this.total = total
  }

  add(row: FoldRow): void {
    if (this.#slot === null || row.values[this.#slot] !== null) this.total++
  }

  merge(other: CountAccumulator): void {
    this.total += other.total
  }

  remove(other: CountAccumulator): boolean {
    this.total -= other.total
    return true
  }

  encode(writer: ByteWriter): void {
    writer.uint(this.total)
  }
}
