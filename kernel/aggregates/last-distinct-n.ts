import type { ByteReader, ByteWriter } from '../values/binary.ts'
import { fixedBytes, inTurn, orderKeyBytes, times, uintBytes, valueBytes } from '../states/greatest-bytes.ts'
import { readOrderKey, writeOrderKey } from '../values/order-key.ts'
import type { FoldRow, OrderKey } from '../states/state.ts'
import { isBefore } from '../states/state.ts'
import type { ValueCodec } from '../values/value-codec.ts'
import { valueCodec } from '../values/value-codec.ts'
import type { ColumnType, Scalar } from '../values/value-type.ts'
import type { Accumulator, Aggregate } from './aggregate.ts'

/**
 * The `n` distinct non-null values that occurred last in the window. Each stands where its newest row does in the total
 * order, newest last. Null if there are none.
 */
export function lastDistinctN(n: number, slot: number, type: ColumnType): Aggregate<LatestOfValues> {
  const codec = valueCodec(type)
  return {
    lane: `lastDistinctN:${slot}:${n}`,
    create: () => new LatestOfValues(slot, n, codec, []),
    decode: (reader: ByteReader) => LatestOfValues.decode(slot, n, codec, reader),
    value: ({ latest }) => (latest.length === 0 ? null : latest.map(({ value }) => value)),
    greatestBytes: (tie) => inTurn(fixedBytes(uintBytes(n)), times(n, inTurn(orderKeyBytes(tie), valueBytes(type)))),
  }
}

interface LatestOfValue {
  /** The key of the newest row with the value. */
  readonly key: OrderKey
  readonly value: Scalar
}

/**
 * Parts merge exactly: a value among the last `n` of all rows is among the last `n` of the part that has its newest
 * row.
 */
class LatestOfValues implements Accumulator {
  /** At most `n`, in the total order. */
  latest: LatestOfValue[]
  readonly #slot: number
  readonly #n: number
  readonly #codec: ValueCodec

  constructor(slot: number, n: number, codec: ValueCodec, latest: LatestOfValue[]) {
    this.#slot = slot
    this.#n = n
    this.#codec = codec
    this.latest = latest
  }

  static decode(slot: number, n: number, codec: ValueCodec, reader: ByteReader): LatestOfValues {
    const latest: LatestOfValue[] = []
    for (let left = reader.uint(); left > 0; left--) latest.push({ key: readOrderKey(reader), value: codec.read(reader) as Scalar })
    return new LatestOfValues(slot, n, codec, latest)
  }

  add(row: FoldRow): void {
    const value = row.values[this.#slot] as Scalar | null
    if (value === null) return
    // A lone surrogate has no UTF-8 bytes of its own, so it counts as the character that is stored for it.
    this.#put(typeof value === 'string' ? value.toWellFormed() : value, row)
  }

  merge(other: LatestOfValues): void {
    for (const { value, key } of other.latest) this.#put(value, key)
  }

  /** The other can be removed if newer rows have hidden all of its values. Else an older row of a value may be lost. */
  remove(other: LatestOfValues): boolean {
    const { latest } = this
    let at = 0
    for (const { key } of other.latest) {
      while (at < latest.length && isBefore((latest[at] as LatestOfValue).key, key)) at++
      if (at < latest.length && !isBefore(key, (latest[at] as LatestOfValue).key)) return false
    }
    return true
  }

  encode(writer: ByteWriter): void {
    writer.uint(this.latest.length)
    for (const { key, value } of this.latest) {
      writeOrderKey(writer, key)
      this.#codec.write(writer, value)
    }
  }

  #put(value: Scalar, key: OrderKey): void {
    const { latest } = this
    const full = latest.length === this.#n
    if (full && isBefore(key, (latest[0] as LatestOfValue).key)) return
    const before = latest.findIndex((one) => isSame(one.value, value))
    if (before !== -1) {
      if (!isBefore((latest[before] as LatestOfValue).key, key)) return
      latest.splice(before, 1)
    } else if (full) latest.shift()
    let at = latest.length
    while (at > 0 && isBefore(key, (latest[at - 1] as LatestOfValue).key)) at--
    const { eventTime, knownTime, tie } = key // not the row, which would be kept alive
    latest.splice(at, 0, { key: { eventTime, knownTime, tie }, value })
  }
}

/** NaN is one value. */
function isSame(a: Scalar, b: Scalar): boolean {
  return a === b || (a !== a && b !== b)
}
