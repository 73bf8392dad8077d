import type { Accumulator, Aggregate } from '../aggregates/aggregate.ts'
import type { ByteReader, ByteWriter } from '../values/binary.ts'
import { windowStart } from './hop.ts'
import type { WindowPlan } from './running-window.ts'
import { RunningWindow } from './running-window.ts'
import type { FoldRow } from './state.ts'
import type { Tile } from './tiles.ts'
import { Tiles } from './tiles.ts'
import { floorTo } from '../values/time.ts'

/** The plan that all windows of one divisor chain share. */
export interface ChainPlan {
  /** Tile sizes in microseconds, ascending, each dividing the next. */
  readonly hops: readonly number[]
  /** By level: the longest window, in microseconds, whose tail moves by that hop. */
  readonly reach: readonly number[]
  readonly lanes: readonly Aggregate[]
  readonly windows: readonly WindowPlan[]
}

/**
 * Sawtooth windows (as in Chronon's `SawtoothAggregator`): the window of length W at t covers `[floor(t - W, hop), t]`.
 * A state at high-water mark H has no row after H <= t, so the end of the window is exact. Only the start needs
 * boundaries: rows are kept in tiles aligned to the hop.
 *
 *     level 1 (coarse hop)      |        |        |
 *     level 0 (fine hop)                          | | | | | |
 *                               ^ cutoff 1        ^ cutoff 0      H
 *
 * Fine tiles are kept back to `cutoff(level) = floor(H - reach, next hop)`. Older tiles are merged into the next level,
 * and tiles before the last cutoff are dropped, because they matter at no t >= H. So the tiles after `collapse(H)`
 * depend only on the rows and H, not on the order of arrival.
 *
 * Each window also keeps a running aggregate between calls (`RunningWindow`). It adds rows as they arrive and removes
 * tiles that left the window, which exact sums allow. So the cost of a row or an answer does not grow with the window.
 */
export class TileChain {
  readonly #plan: ChainPlan
  readonly #levels: readonly Tiles[]
  readonly #makeLanes: () => readonly Accumulator[]
  readonly #cutoffs: number[]
  readonly #running: (RunningWindow | null)[]
  #collapseAt = Number.NEGATIVE_INFINITY

  constructor(plan: ChainPlan) {
    this.#plan = plan
    this.#levels = plan.hops.map(() => new Tiles())
    this.#makeLanes = () => plan.lanes.map((lane) => lane.create())
    this.#cutoffs = plan.hops.map(() => Number.NEGATIVE_INFINITY)
    this.#running = plan.windows.map(() => null)
  }

  add(row: FoldRow, highWater: number): void {
    if (highWater > this.#collapseAt) this.collapse(highWater)
    const { eventTime } = row
    const level = this.#levelOf(eventTime)
    if (level < 0) return
    const { lanes } = this.#tile(level, eventTime)
    for (let i = 0; i < lanes.length; i++) lanes[i]?.add(row)
    const running = this.#running
    for (let i = 0; i < running.length; i++) running[i]?.add(row)
  }

  /** The accumulators of a window at `t`, by index of its plan's `lanes`. Read only. */
  windowAt(index: number, t: number): readonly Accumulator[] {
    const running = this.#running[index] ?? null
    if (running !== null && running.isAt(t)) return running.lanes()
    const window = this.#plan.windows[index] as WindowPlan
    const from = this.#tail(window, t)
    if (running !== null && running.from <= from) {
      running.moveTo(from)
      return running.lanes()
    }
    const { hops, lanes } = this.#plan
    const made = new RunningWindow(from, window, lanes, this.#levels.slice(0, window.level + 1), hops[window.level] as number)
    this.#running[index] = made
    return made.lanes()
  }

  /** Moves tiles to their levels for this high-water mark, and drops tiles that no answer at or after it needs. */
  collapse(highWater: number): void {
    if (highWater === Number.NEGATIVE_INFINITY) return
    const { hops, reach, windows } = this.#plan
    // A running aggregate must lose its tiles one by one before they are merged into coarser ones.
    for (const [i, running] of this.#running.entries()) {
      const from = this.#tail(windows[i] as WindowPlan, highWater)
      if (running !== null && running.from < from) running.moveTo(from)
    }
    let above = Number.POSITIVE_INFINITY
    for (let level = 0; level < hops.length; level++) {
      const next = hops[Math.min(level + 1, hops.length - 1)] as number
      const cutoff = Math.min(above, floorTo(highWater - (reach[level] as number), next))
      above = cutoff
      this.#cutoffs[level] = cutoff
      for (const tile of (this.#levels[level] as Tiles).takeBefore(cutoff)) {
        if (level + 1 < hops.length) this.#mergeInto(this.#tile(level + 1, tile.start), tile)
      }
    }
    this.#collapseAt = highWater + Math.max(hops[0] as number, Math.floor((reach[0] as number) / 2))
  }

  /** `highWater` is the greater mark of both; `other` is not changed. */
  merge(other: TileChain, highWater: number): void {
    this.#running.fill(null)
    for (const [level, tiles] of other.#levels.entries()) {
      for (const tile of tiles.list) this.#mergeInto(this.#tile(level, tile.start), tile)
    }
    this.collapse(highWater)
  }

  /**
   * Call `collapse` first. For each level, writes the number of tiles, then each tile's distance in hops from the
   * previous tile (the first: from the high-water mark's tile) and its lanes.
   */
  encode(writer: ByteWriter, highWater: number): void {
    for (const [level, tiles] of this.#levels.entries()) {
      const hop = this.#plan.hops[level] as number
      writer.uint(tiles.list.length)
      let before = tileBase(highWater, hop)
      for (const { start, lanes } of tiles.list) {
        const index = Math.round(start / hop)
        writer.int(index - before)
        before = index
        for (const lane of lanes) lane.encode(writer)
      }
    }
  }

  static decode(plan: ChainPlan, reader: ByteReader, highWater: number): TileChain {
    const chain = new TileChain(plan)
    for (const [level, hop] of plan.hops.entries()) {
      let index = tileBase(highWater, hop)
      for (let left = reader.uint(); left > 0; left--) {
        index += reader.int()
        const lanes = plan.lanes.map((lane) => lane.decode(reader))
        chain.#levels[level]?.at(index * hop, () => lanes)
      }
    }
    chain.collapse(highWater)
    return chain
  }

  #tail(window: WindowPlan, t: number): number {
    return windowStart(t, window.windowMicros, this.#plan.hops[window.level] as number)
  }

  #levelOf(eventTime: number): number {
    for (let level = 0; level < this.#cutoffs.length; level++) if (eventTime >= (this.#cutoffs[level] as number)) return level
    return -1
  }

  #tile(level: number, time: number): Tile {
    return (this.#levels[level] as Tiles).at(floorTo(time, this.#plan.hops[level] as number), this.#makeLanes)
  }

  #mergeInto(target: Tile, tile: Tile): void {
    for (const [i, lane] of target.lanes.entries()) lane.merge(tile.lanes[i] as Accumulator)
  }
}

/** The number of the tile that contains the high-water mark. Stored tile numbers are relative to it. */
export function tileBase(highWater: number, hop: number): number {
  return Math.round(floorTo(highWater, hop) / hop)
}
