import type { Accumulator, Aggregate } from '../aggregates/aggregate.ts'
import type { FoldRow } from './state.ts'
import { SuffixAggregates } from './suffix-aggregates.ts'
import type { Tile, Tiles } from './tiles.ts'

export interface WindowPlan {
  readonly level: number
  readonly windowMicros: number
  /** Indexes of the lanes that its features read. */
  readonly lanes: readonly number[]
}

/**
 * The running aggregate of a window between answers. Rows are added to its lanes as they arrive, and tiles that left
 * the window are removed. A lane that cannot remove a tile is rebuilt for the next answer (`SuffixAggregates`); other
 * lanes are not.
 */
export class RunningWindow {
  #from: number
  /** null: must be rebuilt; `#stale` is then true. */
  readonly #lanes: (Accumulator | null)[]
  readonly #plan: WindowPlan
  readonly #aggregates: readonly Aggregate[]
  readonly #levels: readonly Tiles[]
  readonly #hop: number
  #stale = false
  /** By lane, for lanes that were ever rebuilt. */
  #suffixes: (SuffixAggregates | undefined)[] | null = null

  /**
   * @param aggregates of a tile's lanes
   * @param levels the tile levels within the window, finest first
   * @param hop the step of the window's start, microseconds
   */
  constructor(from: number, plan: WindowPlan, aggregates: readonly Aggregate[], levels: readonly Tiles[], hop: number) {
    this.#from = from
    this.#plan = plan
    this.#aggregates = aggregates
    this.#levels = levels
    this.#hop = hop
    this.#lanes = plan.lanes.map((lane) => (aggregates[lane] as Aggregate).create())
    for (const level of levels) {
      const { list } = level
      for (let i = level.indexFrom(from); i < list.length; i++) {
        const tile = list[i] as Tile
        for (let j = 0; j < plan.lanes.length; j++) this.#lanes[j]?.merge(tile.lanes[plan.lanes[j] as number] as Accumulator)
      }
    }
  }

  get from(): number {
    return this.#from
  }

  /** Whether the window already starts where it does at `t`. */
  isAt(t: number): boolean {
    const since = t - this.#plan.windowMicros - this.#from
    return since >= 0 && since < this.#hop
  }

  /** Adds a row that was also added to a tile. */
  add(row: FoldRow): void {
    if (row.eventTime < this.#from) return
    const lanes = this.#lanes
    for (let i = 0; i < lanes.length; i++) lanes[i]?.add(row)
    const suffixes = this.#suffixes
    if (suffixes !== null) for (let i = 0; i < suffixes.length; i++) suffixes[i]?.add(row)
  }

  /**
   * Moves the window's start to `from`. Call it before the tiles that leave the window are merged into coarser ones.
   */
  moveTo(from: number): void {
    if (from === this.#from) return
    const levels = this.#levels
    for (let l = 0; l < levels.length; l++) {
      const level = levels[l] as Tiles
      const { list } = level
      const first = list[0]
      if (first === undefined || first.start >= from) continue
      for (let i = level.indexFrom(this.#from); i < list.length; i++) {
        const tile = list[i] as Tile
        if (tile.start >= from) break
        this.#remove(tile)
      }
    }
    this.#from = from
  }

  /** Its accumulators, by index of the plan's `lanes`. Read only. */
  lanes(): readonly Accumulator[] {
    const lanes = this.#lanes
    if (this.#stale) for (let i = 0; i < lanes.length; i++) if (lanes[i] === null) lanes[i] = this.#suffixesOf(i).since(this.#from)
    this.#stale = false
    return lanes as readonly Accumulator[]
  }

  #remove(tile: Tile): void {
    const lanes = this.#lanes
    for (let i = 0; i < lanes.length; i++) {
      if (lanes[i]?.remove(tile.lanes[this.#plan.lanes[i] as number] as Accumulator) !== false) continue
      lanes[i] = null
      this.#stale = true
    }
  }

  #suffixesOf(i: number): SuffixAggregates {
    const lane = this.#plan.lanes[i] as number
    this.#suffixes ??= new Array<SuffixAggregates | undefined>(this.#lanes.length).fill(undefined)
    return (this.#suffixes[i] ??= new SuffixAggregates(this.#aggregates[lane] as Aggregate, lane, this.#levels, this.#hop))
  }
}
