import type { ByteReader, ByteWriter } from '../values/binary.ts'
import { fixedBytes, inTurn, orderKeyBytes, valueBytes } from '../states/greatest-bytes.ts'
import type { FoldRow, OrderKey } from '../states/state.ts'
import { isBefore } from '../states/state.ts'
import { readOrderKey, writeOrderKey } from '../values/order-key.ts'
import type { ValueCodec } from '../values/value-codec.ts'
import { valueCodec } from '../values/value-codec.ts'
import type { ColumnType, Value } from '../values/value-type.ts'
import type { Accumulator, Aggregate } from './aggregate.ts'

/**
 * The value of the window's least or greatest row in the total order. Null if that row's value is null: no other row
 * replaces it.
 */
export function firstLast(which: 'first' | 'last', slot: number, type: ColumnType): Aggregate<FirstLastAccumulator> {
  const codec = valueCodec(type)
  const latest = which === 'last'
  return {
    lane: `${which}:${slot}`,
    create: () => new FirstLastAccumulator(slot, latest, codec),
    decode: (reader: ByteReader) => FirstLastAccumulator.decode(slot, latest, codec, reader),
    value: ({ value }) => value,
    isFull: ({ key }) => !latest && key !== null,
    greatestBytes: (tie) => inTurn(fixedBytes(1), orderKeyBytes(tie), valueBytes(type)),
  }
}

class FirstLastAccumulator implements Accumulator {
  key: OrderKey | null = null
  value: Value | null = null
  readonly #slot: number
  readonly #latest: boolean
  readonly #codec: ValueCodec

  constructor(slot: number, latest: boolean, codec: ValueCodec) {
    this.#slot = slot
    this.#latest = latest
    this.#codec = codec
  }

  static decode(slot: number, latest: boolean, codec: ValueCodec, reader: ByteReader): FirstLastAccumulator {
    const accumulator = new FirstLastAccumulator(slot, latest, codec)
    if (reader.byte() === 1) {
      accumulator.key = readOrderKey(reader)
      accumulator.value = codec.read(reader)
    }
    return accumulator
  }

  add(row: FoldRow): void {
    if (this.key !== null && !this.#isBeyond(row, this.key)) return
    this.key = { eventTime: row.eventTime, knownTime: row.knownTime, tie: row.tie } // not the row, which would be kept alive
    this.value = row.values[this.#slot] ?? null
  }

  merge(other: FirstLastAccumulator): void {
    if (other.key === null || (this.key !== null && !this.#isBeyond(other.key, this.key))) return
    this.key = other.key
    this.value = other.value
  }

  remove(other: FirstLastAccumulator): boolean {
    return other.key === null || (this.key !== null && this.#isBeyond(this.key, other.key))
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

  /** Whether `a` replaces `b`: it is later for `last`, earlier for `first`. */
  #isBeyond(a: OrderKey, b: OrderKey): boolean {
    return this.#latest ? isBefore(b, a) : isBefore(a, b)
  }
}
