import type { Aggregate } from './aggregates/aggregate.ts'
import { count } from './aggregates/count.ts'
import { extreme } from './aggregates/extreme.ts'
import { last } from './aggregates/last.ts'
import { mean } from './aggregates/mean.ts'
import { sum } from './aggregates/sum.ts'
import { LockstepError } from './errors.ts'
import { divisorChains } from './hop.ts'
import type { ChainPlan, WindowPlan } from './tile-chain.ts'
import type { ValueCodec } from './value-codec.ts'
import { valueCodec } from './value-codec.ts'
import { valueFromJson } from './value-json.ts'
import type { Column, Value, ValueType } from './value-type.ts'
import type { DefinitionId, FeatureSpec, WindowFeatureSpec } from './view-spec.ts'

/** How a view's features map onto the parts of its state. */
export interface StatePlan {
  readonly view: DefinitionId
  /** The number of values in a folded row. */
  readonly slots: number
  /** The slots that any feature reads: what a pending row keeps. */
  readonly usedSlots: readonly SlotPlan[]
  /** The slots that latest-value features read from the greatest row; empty where there are none. */
  readonly latestSlots: readonly SlotPlan[]
  readonly chains: readonly ChainPlan[]
  /** The distinct windows that may reach furthest back: the longest of each hop. */
  readonly tails: readonly { readonly windowMicros: number; readonly hopMicros: number }[]
  readonly features: readonly FeaturePlan[]
  readonly defaults: readonly (Value | null)[]
}

export interface SlotPlan {
  readonly slot: number
  readonly codec: ValueCodec
}

export type FeaturePlan =
  | { readonly kind: 'latest'; readonly ttlMicros: number | null; /** into `latestSlots` */ readonly index: number }
  | {
      readonly kind: 'window'
      readonly chain: number
      readonly window: number
      /** into the window's lanes */ readonly lane: number
      readonly aggregate: Aggregate
    }

/** @param row the columns of a folded row: the source's, then the derived ones */
export function planState(view: DefinitionId, row: readonly Column[], features: readonly FeatureSpec[]): StatePlan {
  const slotOf = (feature: string, column: string): number => {
    const slot = row.findIndex((c) => c.name === column)
    if (slot < 0)
      throw new LockstepError(
        'UNKNOWN_COLUMN',
        `The feature "${feature}" of "${view}" reads the column "${column}", which its rows do not have.`,
      )
    return slot
  }
  const codecAt = (slot: number): SlotPlan => ({ slot, codec: valueCodec((row[slot] as Column).type) })

  const windowed = features.filter((f) => f.kind === 'window')
  const chains = divisorChains(windowed.map((f) => f.hopMicros)).map((hops) => new ChainBuilder(hops))
  const latest: number[] = []
  const used = new Set<number>()
  const plans = features.map((feature): FeaturePlan => {
    const slot = feature.column === null ? null : slotOf(feature.name, feature.column)
    if (slot !== null) used.add(slot)
    if (feature.kind === 'latest') {
      if (!latest.includes(slot as number)) latest.push(slot as number)
      return { kind: 'latest', ttlMicros: feature.ttlMicros, index: latest.indexOf(slot as number) }
    }
    const chain = chains.findIndex((c) => c.hops.includes(feature.hopMicros))
    const aggregate = aggregateOf(feature, slot, slot === null ? null : (row[slot] as Column).type)
    return { kind: 'window', chain, aggregate, ...(chains[chain] as ChainBuilder).use(feature, aggregate) }
  })
  return {
    view,
    slots: row.length,
    usedSlots: [...used].sort((a, b) => a - b).map(codecAt),
    latestSlots: latest.map(codecAt),
    chains: chains.map((c) => c.build()),
    tails: chains.flatMap((c) => c.tails()),
    features: plans,
    defaults: features.map((f) => valueFromJson(f.type, f.default, `The default of "${f.name}" of "${view}"`)),
  }
}

function aggregateOf(feature: WindowFeatureSpec, slot: number | null, type: ValueType | null): Aggregate {
  if (feature.aggregate === 'count') return count(slot)
  if (slot === null || type === null)
    throw new LockstepError('UNKNOWN_COLUMN', `The feature "${feature.name}" aggregates no column; name one.`)
  switch (feature.aggregate) {
    case 'sum':
      return sum(slot, type)
    case 'mean':
      return mean(slot, type)
    case 'min':
    case 'max':
      return extreme(feature.aggregate, slot, type)
    case 'last':
      return last(slot, type)
    default:
      return feature.aggregate satisfies never
  }
}

/** Gathers the windows and lanes of one divisor chain. */
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
    let shared = this.#lanes.findIndex((lane) => lane.lane === aggregate.lane)
    if (shared < 0) shared = this.#lanes.push(aggregate) - 1
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
