import type { ByteReader, ByteWriter } from '../values/binary.ts'
import type { OrderKey, Tie } from './state.ts'
import { isBefore } from './state.ts'
import type { LatestPlan, SlotPlan } from './state-plan.ts'
import type { Value } from '../values/value-type.ts'

/** A greatest row that latest values are read from. */
export interface LatestRow {
  readonly key: OrderKey
  /** By index of the plan's `slots`. */
  readonly values: readonly (Value | null)[]
}

export interface LatestRows {
  /** Event time of the greatest row of all. */
  readonly lastEvent: number
  /** By index of the plans. */
  readonly rows: readonly (LatestRow | null)[]
}

const sameTime = 1
const textTie = 2
const someNull = 4

/**
 * Whether the times of these rows can be encoded as distances from the high-water mark, which are short. Distances
 * beyond 2^53 cannot be encoded.
 */
export function isNear({ lastEvent, rows }: LatestRows, highWater: number): boolean {
  if (!Number.isSafeInteger(highWater - lastEvent)) return false
  for (const row of rows) {
    if (row === null) continue
    const { eventTime, knownTime } = row.key
    if (!Number.isSafeInteger(highWater - eventTime) || !Number.isSafeInteger(highWater - knownTime)) return false
  }
  return true
}

/**
 * Writes the event time of the greatest row of all, unless that row is kept, since its key states it. Then writes the
 * greatest row of each plan, if any.
 *
 * @param from the base of encoded times: the high-water mark, or 0
 */
export function encodeLatest(plans: readonly LatestPlan[], writer: ByteWriter, { lastEvent, rows }: LatestRows, from: number): void {
  if (plans[0]?.where !== null) writer.int(from - lastEvent)
  for (let i = 0; i < plans.length; i++) {
    const { where, slots } = plans[i] as LatestPlan
    const row = rows[i] ?? null
    if (where !== null) writer.byte(row === null ? 0 : 1)
    if (row !== null) encodeRow(slots, writer, row, from)
  }
}

function encodeRow(slots: readonly SlotPlan[], writer: ByteWriter, { key, values }: LatestRow, from: number): void {
  const { eventTime, knownTime, tie } = key
  const nulls = values.includes(null)
  writer.byte((knownTime === eventTime ? sameTime : 0) | (typeof tie === 'string' ? textTie : 0) | (nulls ? someNull : 0))
  writer.int(from - eventTime)
  if (knownTime !== eventTime) writer.int(from - knownTime)
  if (typeof tie === 'number') writer.int(tie)
  else writer.blob(Buffer.from(tie, 'latin1'))
  if (nulls) {
    for (let start = 0; start < values.length; start += 8) {
      let bits = 0
      for (let i = start; i < Math.min(start + 8, values.length); i++) if (values[i] === null) bits |= 1 << (i - start)
      writer.byte(bits)
    }
  }
  for (let i = 0; i < slots.length; i++) {
    const value = values[i] ?? null
    if (value !== null) (slots[i] as SlotPlan).present.write(writer, value)
  }
}

/** Rows decoded from what `encodeLatest` wrote. The next `read` overwrites them. */
export class DecodedRows implements LatestRows {
  lastEvent = Number.NEGATIVE_INFINITY
  readonly rows: (LatestRow | null)[]
  readonly #plans: readonly LatestPlan[]
  readonly #own: readonly DecodedRow[]

  constructor(plans: readonly LatestPlan[]) {
    this.#plans = plans
    this.#own = plans.map(({ slots }) => ({ key: { eventTime: 0, knownTime: 0, tie: 0 }, values: slots.map(() => null) }))
    this.rows = plans.map(() => null)
  }

  /** @param from as of `encodeLatest` */
  read(reader: ByteReader, from: number): void {
    const plans = this.#plans
    const lastEvent = plans[0]?.where === null ? null : from - reader.int()
    for (let i = 0; i < plans.length; i++) {
      const { where, slots } = plans[i] as LatestPlan
      this.rows[i] = where !== null && reader.byte() === 0 ? null : decodeRow(slots, reader, from, this.#own[i] as DecodedRow)
    }
    this.lastEvent = lastEvent ?? (this.rows[0] as LatestRow).key.eventTime
  }

  /** Takes each row of `other` that is greater than its own. */
  takeGreater(other: DecodedRows): void {
    for (let i = 0; i < this.rows.length; i++) {
      const [ours, theirs] = [this.rows[i] ?? null, other.rows[i] ?? null]
      if (theirs !== null && (ours === null || isBefore(ours.key, theirs.key))) this.#keep(i, theirs)
    }
    if (other.lastEvent > this.lastEvent) this.lastEvent = other.lastEvent
  }

  #keep(i: number, { key, values }: LatestRow): void {
    const own = this.#own[i] as DecodedRow
    Object.assign(own.key, key)
    for (let at = 0; at < values.length; at++) own.values[at] = values[at] ?? null
    this.rows[i] = own
  }

  /** Resets to the state of an entity without rows. */
  clear(): void {
    this.lastEvent = Number.NEGATIVE_INFINITY
    this.rows.fill(null)
  }
}

interface DecodedRow {
  readonly key: { eventTime: number; knownTime: number; tie: Tie }
  readonly values: (Value | null)[]
}

/**
 * Reads the key of a row of a plan without a condition, up to its values. @returns its event time; null if one of its
 * values is null
 */
export function completeRowAt(reader: ByteReader, from: number): number | null {
  const flags = reader.byte()
  const eventTime = from - reader.int()
  if ((flags & sameTime) === 0) reader.int()
  if ((flags & textTie) === 0) reader.int()
  else reader.blob()
  return (flags & someNull) === 0 ? eventTime : null
}

function decodeRow(slots: readonly SlotPlan[], reader: ByteReader, from: number, row: DecodedRow): DecodedRow {
  const { key, values } = row
  const flags = reader.byte()
  key.eventTime = from - reader.int()
  key.knownTime = (flags & sameTime) !== 0 ? key.eventTime : from - reader.int()
  key.tie = (flags & textTie) === 0 ? reader.int() : reader.blob().toString('latin1')
  if ((flags & someNull) === 0) {
    for (let i = 0; i < slots.length; i++) values[i] = (slots[i] as SlotPlan).present.read(reader)
  } else {
    const bits = reader.skip(Math.ceil(slots.length / 8))
    for (let i = 0; i < slots.length; i++) {
      const isNull = (reader.at(bits + (i >> 3)) & (1 << (i & 7))) !== 0
      values[i] = isNull ? null : (slots[i] as SlotPlan).present.read(reader)
    }
  }
  return row
}
