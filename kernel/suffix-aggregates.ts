import type { Accumulator, Aggregate } from './aggregates/aggregate.ts'
import type { FoldRow } from './state.ts'
import type { Tile, Tiles } from './tiles.ts'
import { floorTo } from './time.ts'

/**
 * What a window's lane is made anew from, where it cannot give up tiles (the least value has left: which is the least now?). Of n tiles, about every sqrt(n)-th
 * keeps the aggregate of all from it up to a common end:
 *
 *     tiles    | | | | | | | | | | | | | | | | | |
 *     kept         |---------------------|
 *                          |-------------|
 *                                  |-----|  end
 *
 * So a lane is one of these, the few tiles before it, and those after the end. The kept ones are made anew once the tiles merged one by one have been as many as
 * there are, so a window costs about 2 sqrt(n) merges for a tile that it loses, at worst.
 */
export class SuffixAggregates {
  readonly #lane: Aggregate
  readonly #index: number
  readonly #levels: readonly Tiles[]
  readonly #hop: number
  /** Ascending; the starts are multiples of the hop, so that no tile that is merged into a coarser one is cut. */
  #kept: { readonly start: number; readonly accumulator: Accumulator }[] = []
  #end = Number.NEGATIVE_INFINITY
  #merged = 0

  /** @param index of the lane in a tile @param levels the window's, finest first @param hop by which its tail moves, microseconds */
  constructor(lane: Aggregate, index: number, levels: readonly Tiles[], hop: number) {
    this.#lane = lane
    this.#index = index
    this.#levels = levels
    this.#hop = hop
  }

  /** Takes a row that has been added to a tile. */
  add(row: FoldRow): void {
    if (row.eventTime >= this.#end) return
    for (const { start, accumulator } of this.#kept) {
      if (start > row.eventTime) return
      accumulator.add(row)
    }
  }

  /** The aggregate of the tiles from `from` on, which does not come before that of the last call. */
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

  /** Returns how many tiles there were. */
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

/** Merging so many tiles is cheaper than to keep account of them. */
const few = 256

function copy(lane: Aggregate, accumulator: Accumulator): Accumulator {
  const made = lane.create()
  made.merge(accumulator)
  return made
}
