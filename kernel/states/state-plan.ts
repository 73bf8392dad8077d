import type { Aggregate } from '../aggregates/aggregate.ts'
import { aggregateOf } from '../aggregates/aggregate-of.ts'
import { LockstepError } from '../errors.ts'
import { divisorChains } from './hop.ts'
import type { WindowPlan } from './running-window.ts'
import type { ChainPlan } from './tile-chain.ts'
import type { PresentCodec, ValueCodec } from '../values/value-codec.ts'
import { presentCodec, valueCodec } from '../values/value-codec.ts'
import { valueFromJson } from '../values/value-json.ts'
import type { Column, ColumnType, Value } from '../values/value-type.ts'
import type { DefinitionId, FeatureSpec, WindowFeatureSpec } from '../specs/view-spec.ts'

/** How a view's features map onto the parts of its state. */
export interface StatePlan {
  readonly view: DefinitionId
  /** The number of values in a folded row. */
  readonly slots: number
  /**
   * Whether rows count only from scheduled moments on. Rows that wait for one are then kept as one partial state
   * instead of row by row.
   */
  readonly scheduled: boolean
  /** The slots that any feature reads. Pending rows keep only these. */
  readonly usedSlots: readonly SlotPlan[]
  /** The rows that latest-value features read, by their filter. An unfiltered row comes first, if there is one. */
  readonly latest: readonly LatestPlan[]
  /** The aggregates over all visible rows. */
  readonly lifetime: readonly Aggregate[]
  /** Whether rows count however old they are: there are latest values or lifetime aggregates. */
  readonly endless: boolean
  readonly chains: readonly ChainPlan[]
  /** The distinct windows that may reach furthest back: the longest of each hop. */
  readonly tails: readonly { readonly windowMicros: number; readonly hopMicros: number }[]
  readonly features: readonly FeaturePlan[]
  readonly defaults: readonly (Value | null)[]
}

export interface SlotPlan {
  readonly slot: number
  readonly type: ColumnType
  readonly codec: ValueCodec
  readonly present: PresentCodec
}

/** The greatest row in the total order that passes `where`. */
export interface LatestPlan {
  /** The slot of a bool column; null: all rows pass. */
  readonly where: number | null
  /** The slots that are kept. */
  readonly slots: readonly SlotPlan[]
}

export type FeaturePlan =
  | {
      readonly kind: 'latest'
      readonly ttlMicros: number | null
      /** into `latest` */ readonly row: number
      /** into its `slots` */ readonly index: number
    }
  | {
      readonly kind: 'window'
      readonly chain: number
      readonly window: number
      /** into the window's lanes */ readonly lane: number
      readonly aggregate: Aggregate
    }
  | { readonly kind: 'lifetime'; /** into `lifetime` */ readonly lane: number; readonly aggregate: Aggregate }

/** @param row the columns of a folded row: the source's, then the derived ones */
export function planState(view: DefinitionId, row: readonly Column[], features: readonly FeatureSpec[], scheduled: boolean): StatePlan {
  const slotOf = (feature: string, column: string): number => {
    const slot = row.findIndex((c) => c.name === column)
    if (slot < 0)
      throw new LockstepError(
        'UNKNOWN_COLUMN',
        `The feature "${feature}" of "${view}" reads the column "${column}", which its rows do not have.`,
      )
    return slot
  }
  const codecAt = (slot: number): SlotPlan => {
    const { type } = row[slot] as Column
    return { slot, type, codec: valueCodec(type), present: presentCodec(type) }
  }

  const windowed = features.filter((f) => f.kind === 'window')
  const chains = divisorChains(windowed.map((f) => f.hopMicros)).map((hops) => new ChainBuilder(hops))
  const latest = new LatestRows(features.some((f) => f.kind === 'latest' && f.where === undefined))
  const lifetime: Aggregate[] = []
  const used = new Set<number>()
  const plans = features.map((feature): FeaturePlan => {
    const slot = feature.column === null ? null : slotOf(feature.name, feature.column)
    const where = feature.where === undefined ? null : slotOf(feature.name, feature.where)
    for (const read of [slot, where]) if (read !== null) used.add(read)
    if (feature.kind === 'latest') return { kind: 'latest', ttlMicros: feature.ttlMicros, ...latest.use(where, slot as number) }
    const aggregate = aggregateOf(feature, slot, slot === null ? null : (row[slot] as Column).type, where, { id: view, features })
    if (feature.kind === 'lifetime') return { kind: 'lifetime', aggregate, lane: laneOf(lifetime, aggregate) }
    const chain = chains.findIndex((c) => c.hops.includes(feature.hopMicros))
    return { kind: 'window', chain, aggregate, ...(chains[chain] as ChainBuilder).use(feature, aggregate) }
  })
  return {
    view,
    slots: row.length,
    scheduled,
    usedSlots: [...used].sort((a, b) => a - b).map(codecAt),
    latest: latest.rows.map(({ where, slots }) => ({ where, slots: slots.map(codecAt) })),
    lifetime,
    endless: latest.rows.length > 0 || lifetime.length > 0,
    chains: chains.map((c) => c.build()),
    tails: chains.flatMap((c) => c.tails()),
    features: plans,
    defaults: features.map((f) => valueFromJson(f.type, f.default, `The default of "${f.name}" of "${view}"`)),
  }
}

/** The index of the aggregate's lane. Equal aggregates share a lane. */
function laneOf(lanes: Aggregate[], aggregate: Aggregate): number {
  const shared = lanes.findIndex((lane) => lane.lane === aggregate.lane)
  return shared < 0 ? lanes.push(aggregate) - 1 : shared
}

/** Collects the greatest rows and the slots to keep of them. */
class LatestRows {
  readonly rows: { readonly where: number | null; readonly slots: number[] }[]

  constructor(ofAll: boolean) {
    this.rows = ofAll ? [{ where: null, slots: [] }] : []
  }

  use(where: number | null, slot: number): { row: number; index: number } {
    let row = this.rows.findIndex((r) => r.where === where)
    if (row < 0) row = this.rows.push({ where, slots: [] }) - 1
    const { slots } = this.rows[row] as { slots: number[] }
    const index = slots.indexOf(slot)
    return { row, index: index < 0 ? slots.push(slot) - 1 : index }
  }
}

/** Collects the windows and lanes of one divisor chain. */
class ChainBuilder {
  readonly hops: readonly number[]
  readonly #lanes: Aggregate[] = []
  readonly #windows: (WindowPlan & { readonly lanes: number[] })[] = []

  constructor(hops: readonly number[]) {
    this.hops = hops
  }

  use(feature: WindowFeatureSpec, aggregate: Aggregate): { window: number; lane: number } {
    const level = this.hops.indexOf(feature.hopMicros)
    const { windowMicros } = feature
    let window = this.#windows.findIndex((w) => w.level === level && w.windowMicros === windowMicros)
    if (window < 0) window = this.#windows.push({ level, windowMicros, lanes: [] }) - 1
    const shared = laneOf(this.#lanes, aggregate)
    const { lanes } = this.#windows[window] as { lanes: number[] }
    let lane = lanes.indexOf(shared)
    if (lane < 0) lane = lanes.push(shared) - 1
    return { window, lane }
  }

  tails(): { windowMicros: number; hopMicros: number }[] {
    return this.hops.map((hopMicros, level) => ({ windowMicros: this.#reach(level), hopMicros }))
  }

  #reach(level: number): number {
    return Math.max(0, ...this.#windows.filter((w) => w.level === level).map((w) => w.windowMicros))
  }

  build(): ChainPlan {
    const reach = this.hops.map((_, level) => this.#reach(level))
    return { hops: this.hops, reach, lanes: this.#lanes, windows: this.#windows }
  }
}
