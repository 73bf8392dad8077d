import type { Accumulator } from '../aggregates/aggregate.ts'
import type { StateParts } from '../answer.ts'
import { answerAt } from '../answer.ts'
import { ByteReader, ByteWriter } from '../values/binary.ts'
import { LockstepError } from '../errors.ts'
import type { LatestRow } from './latest-rows.ts'
import { DecodedRows, encodeLatest, isNear } from './latest-rows.ts'
import { overCapFlag } from './over-cap.ts'
import { setAsideFlag } from './set-aside.ts'
import { readOrderKey, writeOrderKey } from '../values/order-key.ts'
import type { EntityState, FoldRow, ViewValues } from './state.ts'
import { isBefore, maxPendingRows, maxWaitingMoments } from './state.ts'
import type { LatestPlan, StatePlan } from './state-plan.ts'
import { TileChain } from './tile-chain.ts'
import { formatTimestamp } from '../values/time.ts'
import type { Value } from '../values/value-type.ts'

/**
 * Flags in the first byte of a body. `far`: times are absolute, not distances from the high-water mark. `successors`:
 * partial states follow, one for each later moment of the schedule.
 */
export const bodyFlags = { folded: 1, pending: 2, far: 4, successors: 8 } as const

/** The rows that count from a moment on, as a partial state that is merged at that moment. */
interface Successor {
  readonly from: number
  readonly state: ViewState
}

/**
 * The state of one entity in one view: its greatest rows, its lifetime aggregates, the tiles of its windows, and rows
 * that are not visible yet. A scheduled view keeps those rows as one partial state for each moment. So a run can fold
 * rows before they count, and they count on every server from the same moment.
 */
export class ViewState implements EntityState, StateParts {
  readonly #plan: StatePlan
  readonly #chains: TileChain[]
  readonly #lifetime: Accumulator[]
  #highWater = Number.NEGATIVE_INFINITY
  /** Event time of the greatest folded row. */
  #lastEvent = Number.NEGATIVE_INFINITY
  /** The greatest folded rows that latest-value features need, by index of `plan.latest`. */
  readonly #latest: (LatestRow | null)[]
  #pending: FoldRow[] = []
  /** By ascending moment; only in scheduled views. */
  #successors: Successor[] = []
  /** When the first waiting row or successor becomes visible. */
  #waitingFrom = Number.POSITIVE_INFINITY

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

  get lastEvent(): number {
    return this.#lastEvent
  }

  get rows(): readonly (LatestRow | null)[] {
    return this.#latest
  }

  get lifetime(): readonly Accumulator[] {
    return this.#lifetime
  }

  windowAt(chain: number, window: number, t: number): readonly Accumulator[] {
    return (this.#chains[chain] as TileChain).windowAt(window, t)
  }

  add(row: FoldRow, now: number): void {
    if (row.visibleAt <= now) this.#fold(row)
    else this.#wait(row, true)
  }

  advance(t: number): void {
    if (this.#waitingFrom > t) return
    const due = this.#pending.filter((row) => row.visibleAt <= t)
    this.#pending = this.#pending.filter((row) => row.visibleAt > t)
    const joining = this.#successors.filter(({ from }) => from <= t)
    this.#successors = this.#successors.slice(joining.length)
    this.#waitingFrom = this.#pending.reduce(
      (least, row) => Math.min(least, row.visibleAt),
      this.#successors[0]?.from ?? Number.POSITIVE_INFINITY,
    )
    for (const row of due) this.#fold(row)
    for (const { state } of joining) this.#join(state)
  }

  valueAt(t: number, into: ViewValues | null = null): ViewValues {
    this.advance(t)
    if (t < this.#highWater) throw historyNeeded(this.#plan, this.#highWater, t)
    return answerAt(this.#plan, this, t, into)
  }

  merge(other: EntityState): void {
    if (!(other instanceof ViewState) || other.#plan !== this.#plan) {
      throw new LockstepError('INTERNAL', `States of different views cannot be merged into "${this.#plan.view}".`)
    }
    this.#join(other)
    for (const row of other.#pending) this.#wait(row, true)
    for (const { from, state } of other.#successors) this.#successorAt(from, true).#join(state)
    this.advance(this.#highWater)
  }

  /** Merges the folded part of another state. */
  #join(other: ViewState): void {
    this.#highWater = Math.max(this.#highWater, other.#highWater)
    this.#lastEvent = Math.max(this.#lastEvent, other.#lastEvent)
    for (const [i, theirs] of other.#latest.entries()) {
      const ours = this.#latest[i] ?? null
      if (theirs !== null && (ours === null || isBefore(ours.key, theirs.key))) this.#latest[i] = theirs
    }
    for (const [i, lane] of this.#lifetime.entries()) lane.merge(other.#lifetime[i] as Accumulator)
    for (const [i, chain] of this.#chains.entries()) chain.merge(other.#chains[i] as TileChain, this.#highWater)
  }

  encode(writer: ByteWriter): void {
    const folded = this.#lastEvent !== Number.NEGATIVE_INFINITY
    const latest = { lastEvent: this.#lastEvent, rows: this.#latest }
    const far = folded && !isNear(latest, this.#highWater)
    const pending = this.#pending.length > 0
    const successors = this.#successors.length > 0
    writer.byte(
      (folded ? bodyFlags.folded : 0) |
        (pending ? bodyFlags.pending : 0) |
        (far ? bodyFlags.far : 0) |
        (successors ? bodyFlags.successors : 0),
    )
    if (folded) {
      encodeLatest(this.#plan.latest, writer, latest, far ? 0 : this.#highWater)
      for (const lane of this.#lifetime) lane.encode(writer)
      for (const chain of this.#chains) {
        chain.collapse(this.#highWater)
        chain.encode(writer, this.#highWater)
      }
    }
    if (pending) this.#encodePending(writer)
    if (successors) this.#encodeSuccessors(writer)
  }

  static decode(plan: StatePlan, reader: ByteReader, highWater: number): ViewState {
    const flags = reader.byte()
    if (flags === overCapFlag)
      throw new LockstepError(
        'STATE_TOO_LARGE',
        `A state of "${plan.view}" exceeds the view's maxStateBytes and is not stored; raise the limit.`,
      )
    if (flags === setAsideFlag)
      throw new LockstepError('STATE_CORRUPT', `A state of "${plan.view}" is set aside and not stored; materialize the view again.`)
    const state = (flags & bodyFlags.folded) !== 0 ? ViewState.#decodeFolded(plan, reader, highWater, flags) : new ViewState(plan)
    state.#highWater = highWater
    if ((flags & bodyFlags.pending) !== 0) state.#decodePending(reader)
    if ((flags & bodyFlags.successors) !== 0) state.#decodeSuccessors(reader)
    endOfBody(plan, reader)
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

  /** @param bounded whether to refuse rows past the limit; rows that are already stored are accepted */
  #wait(row: FoldRow, bounded: boolean): void {
    if (this.#plan.scheduled) return this.#successorAt(row.visibleAt, bounded).#fold(row)
    if (bounded && this.#pending.length >= maxPendingRows) {
      throw new LockstepError(
        'PENDING_OVERFLOW',
        `An entity of "${this.#plan.view}" has over ${maxPendingRows} rows that are not visible yet; correct times that lie in the future, or materialize up to a later moment.`,
      )
    }
    this.#pending.push(row)
    if (row.visibleAt < this.#waitingFrom) this.#waitingFrom = row.visibleAt
  }

  #successorAt(from: number, bounded: boolean): ViewState {
    const present = this.#successors.find((successor) => successor.from === from)
    if (present !== undefined) return present.state
    if (bounded && this.#successors.length >= maxWaitingMoments) {
      throw new LockstepError(
        'PENDING_OVERFLOW',
        `An entity of "${this.#plan.view}" has rows that wait for over ${maxWaitingMoments} moments of its schedule. Correct times that lie in the future, materialize up to a later moment, or use a schedule that runs less often.`,
      )
    }
    const made = new ViewState(this.#plan)
    this.#successors.push({ from, state: made })
    this.#successors.sort((a, b) => a.from - b.from)
    if (from < this.#waitingFrom) this.#waitingFrom = from
    return made
  }

  static #decodeFolded(plan: StatePlan, reader: ByteReader, highWater: number, flags: number): ViewState {
    const latest = new DecodedRows(plan.latest)
    latest.read(reader, (flags & bodyFlags.far) === 0 ? highWater : 0)
    const lifetime = plan.lifetime.map((aggregate) => aggregate.decode(reader))
    const chains = plan.chains.map((chain) => TileChain.decode(chain, reader, highWater))
    const state = new ViewState(plan, latest.rows, lifetime, chains)
    state.#lastEvent = latest.lastEvent
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
      this.#wait({ ...key, visibleAt, values }, false)
    }
  }

  #encodeSuccessors(writer: ByteWriter): void {
    const body = new ByteWriter()
    writer.uint(this.#successors.length)
    for (const { from, state } of this.#successors) {
      body.reset()
      state.encode(body)
      writer.int(from)
      writer.blob(body.view())
    }
  }

  #decodeSuccessors(reader: ByteReader): void {
    for (let left = reader.uint(); left > 0; left--) {
      const from = reader.int()
      const state = ViewState.decode(this.#plan, new ByteReader(reader.blob()), from)
      this.#successors.push({ from, state })
    }
    this.#waitingFrom = Math.min(this.#waitingFrom, this.#successors[0]?.from ?? Number.POSITIVE_INFINITY)
  }
}

export function historyNeeded({ view }: StatePlan, highWater: number, t: number): LockstepError {
  return new LockstepError(
    'HISTORY_NEEDED',
    `The state of "${view}" has folded rows up to ${formatTimestamp(highWater)} and cannot answer for ${formatTimestamp(t)}; read it from the offline history.`,
  )
}

/** @throws LockstepError `STATE_CORRUPT` if more bytes follow */
export function endOfBody({ view }: StatePlan, reader: ByteReader): void {
  if (reader.done) return
  throw new LockstepError(
    'STATE_CORRUPT',
    `The stored state of "${view}" has bytes after its end; materialize the view again to rebuild it.`,
  )
}
