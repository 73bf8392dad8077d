import type { Accumulator } from '../aggregates/aggregate.ts'

export interface Tile {
  /** Epoch microseconds, a multiple of the hop. */
  readonly start: number
  readonly lanes: readonly Accumulator[]
}

/**
 * The tiles of one size, ascending. Rows arrive nearly in order, so a tile is nearly always found or added at the end.
 */
export class Tiles {
  readonly list: Tile[] = []

  /** The tile that starts at `start`, created if it does not exist. */
  at(start: number, make: () => readonly Accumulator[]): Tile {
    const { list } = this
    const last = list.at(-1)
    if (last !== undefined && last.start === start) return last
    const index = last === undefined || last.start < start ? list.length : this.indexFrom(start)
    const found = list[index]
    if (found !== undefined && found.start === start) return found
    const tile = { start, lanes: make() }
    if (index === list.length) list.push(tile)
    else list.splice(index, 0, tile)
    return tile
  }

  /** The index of the first tile that starts at or after `time`; the number of tiles if there is none. */
  indexFrom(time: number): number {
    const { list } = this
    let low = 0
    let high = list.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((list[middle] as Tile).start < time) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Removes and returns the tiles that start before `time`. */
  takeBefore(time: number): Tile[] {
    const [first] = this.list
    return first === undefined || first.start >= time ? none : this.list.splice(0, this.indexFrom(time))
  }
}

const none: Tile[] = []
