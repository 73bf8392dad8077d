import type { Accumulator, Aggregate } from '../aggregates/aggregate.ts'
import type { FoldRow } from './state.ts'
import type { Tile, Tiles } from './tiles.ts'
import { floorTo } from '../values/time.ts'

/**
 * Rebuilds a window's lane that cannot remove tiles. For example, if the minimum leaves the window, the new minimum is
 * unknown. Of n tiles, about every sqrt(n)-th keeps the aggregate of all tiles from it to a common end:
 *
 *     tiles    | | | | | | | | | | | | | | | | | |
 *     kept         |---------------------|
 *                          |-------------|
 *                                  |-----|  end
 *
 * A lane is then one of these suffixes, the few tiles before it, and the tiles after the end. The suffixes are rebuilt
 * after n tiles were merged one by one. So a tile that leaves the window costs at worst about 2 sqrt(n) merges.
 */
export class SuffixAggregates {
  readonly #lane: Aggregate
  readonly #index: number
  readonly #levels: readonly Tiles[]
  readonly #hop: number
  /** Ascending. The starts are multiples of the hop, so that no coarser tile is split. */
  #kept: { readonly start: number; readonly accumulator: Accumulator }[] = []
  #end = Number.NEGATIVE_INFINITY
  #merged = 0

  /**
   * @param index of the lane in a tile @param levels the window's levels, finest first @param hop the step of the
   *   window's start, microseconds
   */
  constructor(lane: Aggregate, index: number, levels: readonly Tiles[], hop: number) {
    this.#lane = lane
    this.#index = index
    this.#levels = levels
    this.#hop = hop
  }

  /** Adds a row that was also added to a tile. */
  add(row: FoldRow): void {
    if (row.eventTime >= this.#end) return
    for (const { start, accumulator } of this.#kept) {
      if (start > row.eventTime) return
      accumulator.add(row)
    }
  }

  /** The aggregate of the tiles from `from` on. `from` must not decrease between calls. */
  since(from: number): Accumulator {
    const made = this.#lane.create()
    let tiles = 0
    for (let i = 0; i < this.#levels.length; i++) tiles += (this.#levels[i] as Tiles).list.length
    if (tiles <= few) {
      if (this.#kept.length > 0) this.#kept = []
      this.#end = Number.NEGATIVE_INFINITY
      this.#mergeInto(made, from, Number.POSITIVE_INFINITY)
      return made
    }
    while (this.#kept[0] !== undefined && this.#kept[0].start < from) this.#kept.shift()
    const next = this.#kept[0]
    if (next === undefined) {
      this.#merged += this.#mergeInto(made, from, Number.POSITIVE_INFINITY)
    } else {
      this.#merged += this.#mergeInto(made, from, next.start)
      if (this.#lane.isFull?.(made) !== true) {
        made.merge(next.accumulator)
        this.#merged += this.#mergeInto(made, this.#end, Number.POSITIVE_INFINITY)
      }
    }
    if (this.#merged > tiles) this.#keep(from, Math.ceil(Math.sqrt(tiles)))
    return made
  }

  /** Returns the number of merged tiles. */
  #mergeInto(target: Accumulator, from: number, to: number): number {
    const index = this.#index
    const lane = this.#lane.isFull === undefined ? null : this.#lane
    let merged = 0
    // The coarser tiles are the older ones.
    for (let i = this.#levels.length - 1; i >= 0; i--) {
      const level = this.#levels[i] as Tiles
      const { list } = level
      for (let j = level.indexFrom(from); j < list.length; j++) {
        const tile = list[j] as Tile
        if (tile.start >= to) return merged
        target.merge(tile.lanes[index] as Accumulator)
        merged++
        if (lane?.isFull?.(target) === true) return merged
      }
    }
    return merged
  }

  #keep(from: number, step: number): void {
    const newest = Math.max(...this.#levels.map((level) => level.list.at(-1)?.start ?? Number.NEGATIVE_INFINITY))
    this.#end = floorTo(newest, this.#hop)
    this.#kept = []
    this.#merged = 0
    const all = this.#lane.create()
    let before = this.#end
    let since = 0
    // Finer tiles are the newer ones, so this goes back in time.
    for (const { list } of this.#levels) {
      for (let i = list.length - 1; i >= 0; i--) {
        const tile = list[i] as Tile
        if (tile.start < from) break
        if (tile.start >= this.#end) continue
        const start = floorTo(before, this.#hop)
        if (since >= step && tile.start < start) {
          this.#kept.push({ start, accumulator: copy(this.#lane, all) })
          since = 0
        }
        all.merge(tile.lanes[this.#index] as Accumulator)
        before = tile.start
        since++
      }
    }
    this.#kept.reverse()
  }
}

/** Up to this many tiles, merging all of them is cheaper than keeping suffixes. */
const few = 256

function copy(lane: Aggregate, accumulator: Accumulator): Accumulator {
  const made = lane.create()
  made.merge(accumulator)
  return made
}
