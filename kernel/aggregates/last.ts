import type { ByteReader, ByteWriter } from '../binary.ts'
import type { FoldRow, OrderKey } from '../state.ts'
import { isBefore } from '../state.ts'
import { readOrderKey, writeOrderKey } from '../order-key.ts'
import type { ValueCodec } from '../value-codec.ts'
import { valueCodec } from '../value-codec.ts'
import type { Value, ValueType } from '../value-type.ts'
import type { Accumulator, Aggregate } from './aggregate.ts'

/** The value of the window's greatest row in the total order, null where that row's value is null: no falling back to an older one. */
export function last(slot: number, type: ValueType): Aggregate<LastAccumulator> {
  const codec = valueCodec(type)
  return {
    lane: `last:${slot}`,
    create: () => new LastAccumulator(slot, codec),
    decode: (reader: ByteReader) => LastAccumulator.decode(slot, codec, reader),
    value: ({ value }) => value,
  }
}

class LastAccumulator implements Accumulator {
  key: OrderKey | null = null
  value: Value | null = null
  readonly #slot: number
  readonly #codec: ValueCodec

  constructor(slot: number, codec: ValueCodec) {
    this.#slot = slot
    this.#codec = codec
  }

  static decode(slot: number, codec: ValueCodec, reader: ByteReader): LastAccumulator {
    const accumulator = new LastAccumulator(slot, codec)
    if (reader.byte() === 1) {
      accumulator.key = readOrderKey(reader)
      accumulator.value = codec.read(reader)
    }
    return accumulator
  }

  add(row: FoldRow): void {
    if (this.key !== null && !isBefore(this.key, row)) return
    this.key = { eventTime: row.eventTime, knownTime: row.knownTime, tie: row.tie } // not the row, which would be kept alive
    this.value = row.values[this.#slot] ?? null
  }

  merge(other: LastAccumulator): void {
    if (other.key === null || (this.key !== null && !isBefore(this.key, other.key))) return
    this.key = other.key
    this.value = other.value
  }

  remove(other: LastAccumulator): boolean {
    return other.key === null || (this.key !== null && isBefore(other.key, this.key))
  }

  encode(writer: ByteWriter): void {
    if (this.key === null) {
      writer.byte(0)
      return
    }
    writer.byte(1)
    writeOrderKey(writer, this.key)
    this.#codec.write(writer, this.value)
  }
}
