import type { Accumulator } from './aggregates/aggregate.ts'
import type { ByteReader, ByteWriter } from './binary.ts'
import { LockstepError } from './errors.ts'
import { readOrderKey, writeOrderKey } from './order-key.ts'
import type { EntityState, FoldRow, OrderKey, ViewValues } from './state.ts'
import { isBefore, maxPendingRows, Status } from './state.ts'
import type { LatestPlan, StatePlan } from './state-plan.ts'
import { TileChain } from './tile-chain.ts'
import { floorTo, formatTimestamp } from './time.ts'
import type { Value } from './value-type.ts'

interface LatestRow {
  readonly key: OrderKey
  /** By index of the plan's `slots`. */
  readonly values: readonly (Value | null)[]
}

/** The state of one entity in one view: its greatest rows, its aggregates of all rows, its windows' tiles, and the rows that are not visible yet. */
export class ViewState implements EntityState {
  readonly #plan: StatePlan
  readonly #chains: TileChain[]
  readonly #lifetime: Accumulator[]
  #highWater = Number.NEGATIVE_INFINITY
  /** Event time of the greatest folded row. */
  #lastEvent = Number.NEGATIVE_INFINITY
  /** The greatest folded rows that latest-value features need, by index of `plan.latest`. */
  readonly #latest: (LatestRow | null)[]
  #pending: FoldRow[] = []
  #pendingFrom = Number.POSITIVE_INFINITY

  constructor(
    plan: StatePlan,
    latest: (LatestRow | null)[] = plan.latest.map(() => null),
    lifetime: Accumulator[] = plan.lifetime.map((aggregate) => aggregate.create()),
    chains: TileChain[] = plan.chains.map((chain) => new TileChain(chain)),
  ) {
    this.#plan = plan
    this.#latest = latest
    this.#lifetime = lifetime
    this.#chains = chains
  }

  get highWater(): number {
    return this.#highWater
  }

  add(row: FoldRow, now: number): void {
    if (row.visibleAt <= now) this.#fold(row)
    else this.#wait(row)
  }

  advance(t: number): void {
    if (this.#pendingFrom > t) return
    const due = this.#pending.filter((row) => row.visibleAt <= t)
    this.#pending = this.#pending.filter((row) => row.visibleAt > t)
    this.#pendingFrom = this.#pending.reduce((least, row) => Math.min(least, row.visibleAt), Number.POSITIVE_INFINITY)
    for (const row of due) this.#fold(row)
  }

  valueAt(t: number, into: ViewValues | null = null): ViewValues {
    this.advance(t)
    if (t < this.#highWater) {
      throw new LockstepError(
        'HISTORY_NEEDED',
        `The state of "${this.#plan.view}" has folded rows up to ${formatTimestamp(this.#highWater)} and cannot say what held at ${formatTimestamp(t)}; read it from the offline history.`,
      )
    }
    const { features, defaults } = this.#plan
    const found = this.#lastEvent >= this.#horizonAt(t)
    const answer = (into as Answer | null) ?? newAnswer(features.length)
    const { values, statuses } = answer
    let chain = -1
    let window = -1
    let lanes: readonly Accumulator[] = []
    for (let i = 0; i < features.length; i++) {
      const feature = features[i] as (typeof features)[number]
      let value: Value | null = null
      let status: Status = Status.notFound
      if (feature.kind === 'latest') {
        const latest = this.#latest[feature.row] ?? null
        if (latest !== null && feature.ttlMicros !== null && t - latest.key.eventTime > feature.ttlMicros) {
          status = Status.outsideMaxAge
        } else if (found) {
          value = latest?.values[feature.index] ?? null
          status = value === null ? Status.nullValue : Status.present
        }
      } else if (feature.kind === 'lifetime') {
        const read = feature.aggregate.value(this.#lifetime[feature.lane] as Accumulator)
        value = read ?? null
        if (found) status = statusOf(read)
      } else {
        if (chain !== feature.chain || window !== feature.window) {
          chain = feature.chain
          window = feature.window
          lanes = (this.#chains[chain] as TileChain).windowAt(window, t)
        }
        const read = feature.aggregate.value(lanes[feature.lane] as Accumulator)
        value = read ?? null
        if (found) status = statusOf(read)
      }
      values[i] = value ?? defaults[i] ?? null
      statuses[i] = status
    }
    answer.eventTime = found ? this.#lastEvent : null
    return answer
  }

  merge(other: EntityState): void {
    if (!(other instanceof ViewState) || other.#plan !== this.#plan) {
      throw new LockstepError('INTERNAL', `States of different views cannot be merged into "${this.#plan.view}".`)
    }
    this.#highWater = Math.max(this.#highWater, other.#highWater)
    this.#lastEvent = Math.max(this.#lastEvent, other.#lastEvent)
    for (const [i, theirs] of other.#latest.entries()) {
      const ours = this.#latest[i] ?? null
      if (theirs !== null && (ours === null || isBefore(ours.key, theirs.key))) this.#latest[i] = theirs
    }
    for (const [i, lane] of this.#lifetime.entries()) lane.merge(other.#lifetime[i] as Accumulator)
    for (const [i, chain] of this.#chains.entries()) chain.merge(other.#chains[i] as TileChain, this.#highWater)
    for (const row of other.#pending) this.#wait(row)
    this.advance(this.#highWater)
  }

  encode(writer: ByteWriter): void {
    const folded = this.#lastEvent !== Number.NEGATIVE_INFINITY
    writer.byte((folded ? 1 : 0) | (this.#pending.length > 0 ? 2 : 0))
    if (folded) {
      this.#encodeLatest(writer)
      for (const lane of this.#lifetime) lane.encode(writer)
      for (const chain of this.#chains) {
        chain.collapse(this.#highWater)
        chain.encode(writer)
      }
    }
    if (this.#pending.length > 0) this.#encodePending(writer)
  }

  static decode(plan: StatePlan, reader: ByteReader, highWater: number): ViewState {
    const flags = reader.byte()
    const folded = (flags & 1) !== 0
    const state = folded ? ViewState.#decodeFolded(plan, reader, highWater) : new ViewState(plan)
    state.#highWater = highWater
    if ((flags & 2) !== 0) state.#decodePending(reader)
    if (!reader.done)
      throw new LockstepError(
        'STATE_CORRUPT',
        `The stored state of "${plan.view}" has bytes after its end; materialize the view again to rebuild it.`,
      )
    return state
  }

  #fold(row: FoldRow): void {
    if (row.visibleAt > this.#highWater) this.#highWater = row.visibleAt
    if (row.eventTime > this.#lastEvent) this.#lastEvent = row.eventTime
    for (let i = 0; i < this.#latest.length; i++) this.#foldLatest(i, row)
    for (let i = 0; i < this.#lifetime.length; i++) this.#lifetime[i]?.add(row)
    for (let i = 0; i < this.#chains.length; i++) this.#chains[i]?.add(row, this.#highWater)
  }

  #foldLatest(index: number, row: FoldRow): void {
    const { where, slots } = this.#plan.latest[index] as LatestPlan
    if (where !== null && row.values[where] !== true) return
    const latest = this.#latest[index] ?? null
    if (latest !== null && !isBefore(latest.key, row)) return
    const key = { eventTime: row.eventTime, knownTime: row.knownTime, tie: row.tie }
    this.#latest[index] = { key, values: slots.map(({ slot }) => row.values[slot] ?? null) }
  }

  #wait(row: FoldRow): void {
    if (this.#pending.length >= maxPendingRows) {
      throw new LockstepError(
        'PENDING_OVERFLOW',
        `An entity of "${this.#plan.view}" has over ${maxPendingRows} rows that are not visible yet; correct times that lie in the future, or materialize up to a later moment, or give the view a schedule that runs more often.`,
      )
    }
    this.#pending.push(row)
    if (row.visibleAt < this.#pendingFrom) this.#pendingFrom = row.visibleAt
  }

  /** The event time of the greatest row of all, which is told by that row's key where one is kept; then the rows that `where` takes, if there were any. */
  #encodeLatest(writer: ByteWriter): void {
    const { latest } = this.#plan
    if (latest[0]?.where !== null) writer.int(this.#lastEvent)
    for (const [i, { where, slots }] of latest.entries()) {
      const row = this.#latest[i] ?? null
      if (where !== null) writer.byte(row === null ? 0 : 1)
      if (row === null) continue
      writeOrderKey(writer, row.key)
      for (const [j, { codec }] of slots.entries()) codec.write(writer, row.values[j] ?? null)
    }
  }

  static #decodeFolded(plan: StatePlan, reader: ByteReader, highWater: number): ViewState {
    const lastEvent = plan.latest[0]?.where === null ? null : reader.int()
    const latest = plan.latest.map(({ where, slots }) =>
      where !== null && reader.byte() === 0 ? null : { key: readOrderKey(reader), values: slots.map(({ codec }) => codec.read(reader)) },
    )
    const lifetime = plan.lifetime.map((aggregate) => aggregate.decode(reader))
    const chains = plan.chains.map((chain) => TileChain.decode(chain, reader, highWater))
    const state = new ViewState(plan, latest, lifetime, chains)
    state.#lastEvent = lastEvent ?? (latest[0] as LatestRow).key.eventTime
    return state
  }

  #encodePending(writer: ByteWriter): void {
    const rows = [...this.#pending].sort((a, b) => (isBefore(a, b) ? -1 : 1))
    writer.uint(rows.length)
    for (const row of rows) {
      writer.int(row.visibleAt)
      writeOrderKey(writer, row)
      for (const { slot, codec } of this.#plan.usedSlots) codec.write(writer, row.values[slot] ?? null)
    }
  }

  #decodePending(reader: ByteReader): void {
    for (let left = reader.uint(); left > 0; left--) {
      const visibleAt = reader.int()
      const key = readOrderKey(reader)
      const values: (Value | null)[] = Array.from({ length: this.#plan.slots }, () => null)
      for (const { slot, codec } of this.#plan.usedSlots) values[slot] = codec.read(reader)
      this.#wait({ ...key, visibleAt, values })
    }
  }

  /** The earliest event time that still counts as a visible row at `t`: where all features have windows, the start of the one that reaches furthest back. */
  #horizonAt(t: number): number {
    if (this.#plan.endless) return Number.MIN_SAFE_INTEGER
    return this.#plan.tails.reduce(
      (start, { windowMicros, hopMicros }) => Math.min(start, floorTo(t - windowMicros, hopMicros)),
      Number.POSITIVE_INFINITY,
    )
  }
}

/** `ViewValues` while they are written. */
interface Answer {
  readonly values: (Value | null)[]
  readonly statuses: Status[]
  eventTime: number | null
}

function newAnswer(features: number): Answer {
  return { values: new Array<Value | null>(features), statuses: new Array<Status>(features), eventTime: null }
}

function statusOf(value: Value | null | undefined): Status {
  if (value === undefined) return Status.invalid
  return value === null ? Status.nullValue : Status.present
}
