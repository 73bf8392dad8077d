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
 * The values of the window's least or greatest `n` rows in the total order, least first, including nulls. Null if there
 * are no rows.
 */
export function firstLastN(which: 'firstN' | 'lastN', n: number, slot: number, type: ColumnType): Aggregate<FirstLastRows> {
  const codec = valueCodec(type)
  const latest = which === 'lastN'
  return {
    lane: `${which}:${slot}:${n}`,
    create: () => new FirstLastRows(slot, n, latest, codec, []),
    decode: (reader: ByteReader) => FirstLastRows.decode(slot, n, latest, codec, reader),
    value: ({ rows }) => (rows.length === 0 ? null : rows.map(({ value }) => value)),
    isFull: ({ rows }) => !latest && rows.length === n,
    greatestBytes: (tie) => inTurn(fixedBytes(uintBytes(n)), times(n, inTurn(orderKeyBytes(tie), valueBytes(type)))),
  }
}

interface KeyedValue {
  readonly key: OrderKey
  readonly value: Scalar | null
}

class FirstLastRows implements Accumulator {
  /** At most `n` rows, in the total order. Rows with the same key are copies of one row. */
  rows: KeyedValue[]
  readonly #slot: number
  readonly #n: number
  readonly #latest: boolean
  readonly #codec: ValueCodec

  constructor(slot: number, n: number, latest: boolean, codec: ValueCodec, rows: KeyedValue[]) {
    this.#slot = slot
    this.#n = n
    this.#latest = latest
    this.#codec = codec
    this.rows = rows
  }

  static decode(slot: number, n: number, latest: boolean, codec: ValueCodec, reader: ByteReader): FirstLastRows {
    const rows: KeyedValue[] = []
    for (let left = reader.uint(); left > 0; left--) rows.push({ key: readOrderKey(reader), value: codec.read(reader) as Scalar | null })
    return new FirstLastRows(slot, n, latest, codec, rows)
  }

  add(row: FoldRow): void {
    const { rows } = this
    const full = rows.length === this.#n
    if (full && !this.#isNearer(row, this.#farthest().key)) return
    let at = rows.length
    if (at > 0 && isBefore(row, (rows[at - 1] as KeyedValue).key)) at = placeOf(rows, row)
    const key = { eventTime: row.eventTime, knownTime: row.knownTime, tie: row.tie } // not the row, which would be kept alive
    rows.splice(at, 0, { key, value: (row.values[this.#slot] ?? null) as Scalar | null })
    if (!full) return
    if (this.#latest) rows.shift()
    else rows.pop()
  }

  merge(other: FirstLastRows): void {
    if (other.rows.length === 0) return
    const merged: KeyedValue[] = []
    let at = 0
    for (const theirs of other.rows) {
      while (at < this.rows.length && !isBefore(theirs.key, (this.rows[at] as KeyedValue).key)) merged.push(this.rows[at++] as KeyedValue)
      merged.push(theirs)
    }
    merged.push(...this.rows.slice(at))
    this.rows = this.#latest ? merged.slice(-this.#n) : merged.slice(0, this.#n)
  }

  /** The other's rows can be removed if they displaced no rows, or if they were never here. */
  remove(other: FirstLastRows): boolean {
    if (other.rows.length === 0) return true
    if (this.rows.length === this.#n) return this.#isNearer(this.#farthest().key, other.#nearest().key)
    let gone = 0
    this.rows = this.rows.filter(({ key }) => {
      const next = other.rows[gone]?.key
      if (next === undefined || isBefore(key, next) || isBefore(next, key)) return true
      gone++
      return false
    })
    return gone === other.rows.length
  }

  encode(writer: ByteWriter): void {
    writer.uint(this.rows.length)
    for (const { key, value } of this.rows) {
      writeOrderKey(writer, key)
      this.#codec.write(writer, value)
    }
  }

  #nearest(): KeyedValue {
    return this.rows.at(this.#latest ? -1 : 0) as KeyedValue
  }

  #farthest(): KeyedValue {
    return this.rows.at(this.#latest ? 0 : -1) as KeyedValue
  }

  /** Whether `a` takes precedence over `b`: the later row for lastN, the earlier for firstN. */
  #isNearer(a: OrderKey, b: OrderKey): boolean {
    return this.#latest ? isBefore(b, a) : isBefore(a, b)
  }
}

/** The index of the first row that comes after `key`. */
function placeOf(rows: readonly KeyedValue[], key: OrderKey): number {
  let low = 0
  let high = rows.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (isBefore(key, (rows[middle] as KeyedValue).key)) high = middle
    else low = middle + 1
  }
  return low
}
