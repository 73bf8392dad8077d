import type { ByteReader } from '../values/binary.ts'
import { passingReader } from '../values/binary.ts'
import type { Status, ViewValues } from './state.ts'
import type { SlotPlan } from './state-plan.ts'
import type { Value } from '../values/value-type.ts'

/** Rows of a float tensor. */
export type Floats = Float32Array | Float64Array

/** @param at the start of the row in `floats` */
export function fillFloats(
  floats: Floats,
  at: number,
  columns: readonly { readonly feature: number; readonly offset: number; readonly width: number }[],
  values: readonly (Value | null)[],
): void {
  for (let c = 0; c < columns.length; c++) {
    const { feature, offset, width } = columns[c] as (typeof columns)[number]
    const value = values[feature]
    // the most common case
    if (typeof value === 'number') floats[at + offset] = value
    else if (value === null || value === undefined) floats.fill(Number.NaN, at + offset, at + offset + width)
    else if (value instanceof Float32Array) floats.set(value, at + offset)
    else floats[at + offset] = Number(value)
  }
}

/** As `fillFloats`, of the rows [from, to) of columns by feature. */
export function fillFloatColumns(
  floats: Floats,
  rowWidth: number,
  columns: readonly { readonly feature: number; readonly offset: number; readonly width: number }[],
  values: readonly (readonly (Value | null)[])[],
  from: number,
  to: number,
): void {
  for (const { feature, offset, width } of columns) {
    const column = values[feature] ?? []
    for (let row = from, at = offset; row < to; row++, at += rowWidth) {
      const value = column[row]
      if (typeof value === 'number') floats[at] = value
      else if (value === null || value === undefined) floats.fill(Number.NaN, at, at + width)
      else if (value instanceof Float32Array) floats.set(value, at)
      else floats[at] = Number(value)
    }
  }
}

/**
 * The values of a row without nulls, still encoded as in the stored state. For a model they are decoded directly into
 * its tensor. For other callers they are decoded once on demand.
 */
export class PackedRow implements ViewValues {
  readonly statuses: readonly Status[]
  readonly eventTime: number
  readonly #layout: PackedLayout
  /** null: the values were decoded, and the bytes are released. */
  #bytes: Uint8Array | null
  readonly #at: number
  #values: readonly (Value | null)[] | null = null

  /** @param reader positioned at the values; it is moved past them */
  constructor(layout: PackedLayout, bytes: Uint8Array, reader: ByteReader, statuses: readonly Status[], eventTime: number) {
    this.#layout = layout
    this.#bytes = bytes
    this.#at = reader.offset
    this.statuses = statuses
    this.eventTime = eventTime
    layout.pass(reader)
  }

  get values(): readonly (Value | null)[] {
    if (this.#bytes !== null) {
      this.#values = this.#layout.values(passingReader(this.#bytes, this.#at))
      this.#bytes = null
    }
    return this.#values as readonly (Value | null)[]
  }

  /**
   * Writes each value into `floats` as a number.
   *
   * @param at the start of the row in `floats`
   * @param places by index of the values: the offset from `at`, or -1 to omit the value; it may be shorter than the row
   */
  fill(floats: Floats, at: number, places: Int32Array): void {
    if (this.#bytes !== null) return this.#layout.fill(passingReader(this.#bytes, this.#at), floats, at, places)
    const values = this.values
    for (let i = 0; i < places.length; i++) if ((places[i] as number) >= 0) floats[at + (places[i] as number)] = Number(values[i])
  }
}

const widths = { float64: 8, float32: 4, bool: 1, int64: 8, int32: 0, timestamp: 0 } as const
type NumberKind = keyof typeof widths

/** Consecutive values of one type. */
interface Run {
  readonly kind: NumberKind
  /** Index of the first value. */
  readonly from: number
  to: number
  /** The size of all values; 0 if each value has its own size. */
  bytes: number
}

/** The byte layout of slots whose values are all numbers to a model. */
export class PackedLayout {
  readonly #slots: readonly SlotPlan[]
  readonly #runs: readonly Run[]
  /** A generic array, because V8 would otherwise convert its element kind when a float follows a bool. */
  readonly #none: readonly (Value | null)[]

  private constructor(slots: readonly SlotPlan[], runs: readonly Run[]) {
    this.#slots = slots
    this.#runs = runs
    this.#none = slots.map(() => null)
  }

  /** null if a slot is not numeric. */
  static of(slots: readonly SlotPlan[]): PackedLayout | null {
    const runs: Run[] = []
    for (const [i, { type }] of slots.entries()) {
      const { kind } = type
      if (!isNumber(kind)) return null
      const last = runs.at(-1)
      if (last?.kind === kind) {
        last.to = i + 1
        last.bytes += widths[kind]
      } else runs.push({ kind, from: i, to: i + 1, bytes: widths[kind] })
    }
    return new PackedLayout(slots, runs)
  }

  /** @throws LockstepError `STATE_CORRUPT` if the bytes end before the values */
  pass(reader: ByteReader): void {
    for (const { from, to, bytes } of this.#runs) {
      if (bytes > 0) reader.skip(bytes)
      else for (let i = from; i < to; i++) reader.int()
    }
  }

  values(reader: ByteReader): (Value | null)[] {
    const values = this.#none.slice()
    for (let i = 0; i < values.length; i++) values[i] = (this.#slots[i] as SlotPlan).present.read(reader)
    return values
  }

  fill(reader: ByteReader, floats: Floats, at: number, places: Int32Array): void {
    for (const { kind, from, to: end } of this.#runs) {
      const to = Math.min(end, places.length)
      if (kind === 'float64') {
        reader.float64sInto(floats, at, places, from, to)
        continue
      }
      for (let i = from; i < to; i++) {
        const number = readNumber(reader, kind)
        const place = places[i] as number
        if (place >= 0) floats[at + place] = number
      }
    }
  }
}

function isNumber(kind: string): kind is NumberKind {
  return Object.hasOwn(widths, kind)
}

function readNumber(reader: ByteReader, kind: NumberKind): number {
  if (kind === 'int32' || kind === 'timestamp') return reader.int()
  if (kind === 'bool') return reader.byte() === 1 ? 1 : 0
  if (kind === 'int64') return reader.int64AsNumber()
  return kind === 'float32' ? reader.float32() : reader.float64()
}
