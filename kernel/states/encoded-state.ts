import type { Accumulator, Aggregate } from '../aggregates/aggregate.ts'
import type { StateParts } from '../answer.ts'
import { answerAt } from '../answer.ts'
import type { ByteReader } from '../values/binary.ts'
import { passingReader } from '../values/binary.ts'
import { DecodedRows, completeRowAt } from './latest-rows.ts'
import type { LatestRow } from './latest-rows.ts'
import { PackedLayout, PackedRow } from './packed-row.ts'
import type { ViewValues } from './state.ts'
import { allPresent } from './state.ts'
import type { StatePlan } from './state-plan.ts'
import type { WindowPlan } from './running-window.ts'
import type { ChainPlan } from './tile-chain.ts'
import { tileBase } from './tile-chain.ts'
import { floorTo } from '../values/time.ts'
import { bodyFlags, endOfBody, historyNeeded } from './view-state.ts'

/**
 * Compiles a reader that computes `ViewState.decode(…).valueAt(t)` directly from the bytes. A server reads each state
 * once, so tiles are merged into windows as they are read, and no mutable state is built. Both paths use the same code
 * to decode parts and read features; `test/kernel/view-state.test.ts` compares their results.
 *
 * @returns (the reader) null if rows are pending, which need a `ViewState`. If all features are values of one row
 *   without nulls, and no successors follow, it returns a `PackedRow`.
 */
export function encodedReader(plan: StatePlan): (bytes: Uint8Array, bodyAt: number, highWater: number, t: number) => ViewValues | null {
  const parts = new EncodedParts(plan)
  const present = allPresent(plan.features.length)
  const layout = layoutOf(plan)
  return (bytes, bodyAt, highWater, t) => {
    const reader = passingReader(bytes, bodyAt)
    const flags = reader.byte()
    if ((flags & bodyFlags.pending) !== 0) return null
    if (t < highWater) throw historyNeeded(plan, highWater, t)
    const from = (flags & bodyFlags.far) === 0 ? highWater : 0
    const succeeded = (flags & bodyFlags.successors) !== 0
    parts.begin(t)
    if ((flags & bodyFlags.folded) !== 0) {
      const eventTime = layout === null || succeeded ? null : completeRowAt(reader, from)
      if (layout !== null && eventTime !== null) {
        const row = new PackedRow(layout, bytes, reader, present, eventTime)
        endOfBody(plan, reader)
        return row
      }
      parts.read(reader.over(bytes, bodyAt + 1), from, highWater)
    }
    if (succeeded) joinSuccessors(parts, reader, t)
    parts.end()
    endOfBody(plan, reader)
    return answerAt(plan, parts, t, null)
  }
}

/** Joins the successors that count by `t` and skips the others. */
function joinSuccessors(parts: EncodedParts, reader: ByteReader, t: number): void {
  for (let left = reader.uint(); left > 0; left--) {
    const from = reader.int()
    const size = reader.uint()
    if (from > t) reader.skip(size)
    else parts.join(reader, (reader.byte() & bodyFlags.far) === 0 ? from : 0, from)
  }
}

/**
 * The layout if all features are latest values of one row, in the row's order, never expire and are numbers for a
 * model; else null.
 */
function layoutOf({ latest, lifetime, chains, features }: StatePlan): PackedLayout | null {
  const [row] = latest
  if (row === undefined || latest.length > 1 || row.where !== null || lifetime.length > 0 || chains.length > 0) return null
  const inOrder = features.every((f, i) => f.kind === 'latest' && f.index === i && f.ttlMicros === null)
  return inOrder ? PackedLayout.of(row.slots) : null
}

/**
 * The parts of one encoded state, reused for the next state. Between `begin` and `end`, parts are read or joined to
 * those already read.
 */
class EncodedParts implements StateParts {
  readonly #plan: StatePlan
  readonly #latest: DecodedRows
  readonly #successor: DecodedRows
  readonly #chains: readonly EncodedChain[]
  readonly lifetime: Accumulator[] = []
  #empty = true

  constructor(plan: StatePlan) {
    this.#plan = plan
    this.#latest = new DecodedRows(plan.latest)
    this.#successor = new DecodedRows(plan.latest)
    this.#chains = plan.chains.map((chain) => new EncodedChain(chain))
  }

  get lastEvent(): number {
    return this.#latest.lastEvent
  }

  get rows(): readonly (LatestRow | null)[] {
    return this.#latest.rows
  }

  windowAt(chain: number, window: number): readonly Accumulator[] {
    return (this.#chains[chain] as EncodedChain).window(window)
  }

  begin(t: number): void {
    this.#empty = true
    for (const chain of this.#chains) chain.begin(t)
  }

  /** @param from the base of encoded row times */
  read(reader: ByteReader, from: number, highWater: number): void {
    const { lifetime } = this.#plan
    this.#latest.read(reader, from)
    for (let i = 0; i < lifetime.length; i++) this.lifetime[i] = (lifetime[i] as Aggregate).decode(reader)
    for (const chain of this.#chains) chain.read(reader, highWater)
    this.#empty = false
  }

  /** Like `read`, for a further state whose rows also count. */
  join(reader: ByteReader, from: number, highWater: number): void {
    if (this.#empty) return this.read(reader, from, highWater)
    const { lifetime } = this.#plan
    this.#successor.read(reader, from)
    this.#latest.takeGreater(this.#successor)
    for (let i = 0; i < lifetime.length; i++) this.lifetime[i]?.merge((lifetime[i] as Aggregate).decode(reader))
    for (const chain of this.#chains) chain.read(reader, highWater)
  }

  end(): void {
    if (this.#empty) {
      const { lifetime } = this.#plan
      this.#latest.clear()
      for (let i = 0; i < lifetime.length; i++) this.lifetime[i] = (lifetime[i] as Aggregate).create()
    }
    for (const chain of this.#chains) chain.end()
  }
}

class EncodedChain {
  readonly #plan: ChainPlan
  /** The window starts, by window. */
  readonly #tails: number[]
  /** By window and lane of the chain: the index among the window's lanes, or -1. */
  readonly #laneOf: readonly (readonly number[])[]
  /** By window and index among its lanes. */
  readonly #merged: (Accumulator | undefined)[][]

  constructor(plan: ChainPlan) {
    this.#plan = plan
    this.#tails = plan.windows.map(() => 0)
    this.#laneOf = plan.windows.map((window) => plan.lanes.map((_, lane) => window.lanes.indexOf(lane)))
    this.#merged = plan.windows.map((window) => window.lanes.map(() => undefined))
  }

  window(index: number): readonly Accumulator[] {
    return this.#merged[index] as readonly Accumulator[]
  }

  begin(t: number): void {
    const { hops, windows } = this.#plan
    for (let w = 0; w < windows.length; w++) {
      const { windowMicros, level } = windows[w] as WindowPlan
      this.#tails[w] = floorTo(t - windowMicros, hops[level] as number)
    }
    this.#forget()
  }

  /**
   * Merges each tile into the windows that reach back to it. A state has no row after its high-water mark, so windows
   * need no upper bound. The first tile of a window becomes its accumulator, unless another window already uses that
   * tile.
   */
  read(reader: ByteReader, highWater: number): void {
    const { hops, lanes } = this.#plan
    for (let level = 0; level < hops.length; level++) {
      const hop = hops[level] as number
      let index = tileBase(highWater, hop)
      for (let left = reader.uint(); left > 0; left--) {
        index += reader.int()
        for (let l = 0; l < lanes.length; l++) {
          const aggregate = lanes[l] as Aggregate
          this.#merge(l, level, index * hop, aggregate, aggregate.decode(reader))
        }
      }
    }
  }

  /** Windows without tiles get empty accumulators. */
  end(): void {
    const { lanes, windows } = this.#plan
    for (let w = 0; w < windows.length; w++) {
      const into = this.#merged[w] as (Accumulator | undefined)[]
      for (let lane = 0; lane < into.length; lane++) {
        into[lane] ??= (lanes[(windows[w] as WindowPlan).lanes[lane] as number] as Aggregate).create()
      }
    }
  }

  #merge(lane: number, level: number, start: number, aggregate: Aggregate, tile: Accumulator): void {
    const { windows } = this.#plan
    let free = true
    for (let w = 0; w < windows.length; w++) {
      if ((windows[w] as WindowPlan).level < level || start < (this.#tails[w] as number)) continue
      const at = (this.#laneOf[w] as readonly number[])[lane] as number
      if (at < 0) continue
      const into = this.#merged[w] as (Accumulator | undefined)[]
      const present = into[at]
      if (present !== undefined) {
        present.merge(tile)
      } else if (free) {
        into[at] = tile
        free = false
      } else {
        const copy = aggregate.create()
        copy.merge(tile)
        into[at] = copy
      }
    }
  }

  #forget(): void {
    for (const into of this.#merged) for (let lane = 0; lane < into.length; lane++) into[lane] = undefined
  }
}
