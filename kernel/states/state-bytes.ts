import type { GreatestBytes } from './greatest-bytes.ts'
import { fixedBytes, intBytes, inTurn, noBytes, orderKeyBytes, timeBytes, times, uintBytes, valueBytes } from './greatest-bytes.ts'
import { maxPendingRows, maxWaitingMoments } from './state.ts'
import type { SlotPlan } from './state-plan.ts'
import { planState } from './state-plan.ts'
import { storedHeaderBytes } from './stored-state.ts'
import type { ChainPlan } from './tile-chain.ts'
import { maxMicros } from '../values/value-type.ts'
import type { ViewSpec } from '../specs/view-spec.ts'
import { definitionId } from '../specs/view-spec.ts'

/** The maximum size of one entity's stored state, in total and by its parts. */
export interface StateBytes extends GreatestBytes {
  /** The greatest rows for latest values, and the overhead of a state besides its parts. */
  readonly latest: GreatestBytes
  /** The aggregates of all rows. */
  readonly lifetime: GreatestBytes
  /** The tiles of its windows, by size. */
  readonly tiles: readonly TileBytes[]
  /**
   * The part that is not visible yet: rows, or in a scheduled view moments. Each moment holds all rows that count from
   * it on.
   */
  readonly pending: { readonly kind: 'rows' | 'moments'; readonly most: number; readonly each: GreatestBytes }
}

export interface TileBytes {
  readonly hopMicros: number
  /** The maximum number of tiles. */
  readonly tiles: number
  readonly each: GreatestBytes
}

/** @param tie the maximum size of a row's tie-breaker: `tieOfIdentity` or `tieOfColumns` */
export function stateBytes(spec: ViewSpec, tie: GreatestBytes): StateBytes {
  const plan = planState(definitionId(spec), [...spec.source.columns, ...spec.derive], spec.features, spec.availability.kind === 'schedule')
  const latest = inTurn(
    fixedBytes(storedHeaderBytes + 1 + (plan.latest[0]?.where === null ? 0 : timeBytes)),
    ...plan.latest.map(({ where, slots }) => inTurn(fixedBytes(where === null ? 0 : 1), orderKeyBytes(tie), presentBytes(slots))),
  )
  const lifetime = inTurn(...plan.lifetime.map((aggregate) => aggregate.greatestBytes(tie)))
  const tiles = plan.chains.flatMap((chain) => tileBytes(chain, tie))
  const starts = plan.chains.flatMap(({ hops }) => hops.map((hop) => uintBytes(2 ** 32) + intBytes(Math.ceil(maxMicros / hop))))
  const visible = inTurn(
    latest,
    lifetime,
    ...tiles.map((level) => times(level.tiles, level.each)),
    fixedBytes(starts.reduce((sum, bytes) => sum + bytes, 0)),
  )
  const row = inTurn(fixedBytes(timeBytes), orderKeyBytes(tie), valuesBytes(plan.usedSlots))
  // a header contains more than its moment and length
  const pending = plan.scheduled
    ? ({ kind: 'moments', most: maxWaitingMoments, each: visible } as const)
    : ({ kind: 'rows', most: maxPendingRows, each: row } as const)
  const all = inTurn(visible, fixedBytes(uintBytes(pending.most)), times(pending.most, pending.each))
  return { ...all, latest, lifetime, tiles, pending }
}

function valuesBytes(slots: readonly SlotPlan[]): GreatestBytes {
  return slots.reduce((all, { type }) => inTurn(all, valueBytes(type)), noBytes)
}

/** In a greatest row, bits mark the null values, which are not stored. */
function presentBytes(slots: readonly SlotPlan[]): GreatestBytes {
  const whole = slots.reduce((all, { type }) => inTurn(all, valueBytes(type), fixedBytes(type.kind === 'bool' ? 0 : -1)), noBytes)
  const bits = Math.ceil(slots.length / 8)
  // if there are bits, at least one value is not stored
  const least = Math.min(...slots.map(({ type }) => (type.kind === 'bool' ? 1 : valueBytes(type).bytes - 1)))
  return inTurn(whole, fixedBytes(Math.max(0, bits - least)))
}

/**
 * A level keeps the tiles from its own cutoff on and before the cutoff of the next finer level (`TileChain`). Its
 * cutoff lies up to one hop of the next coarser level beyond its reach. For adjacent tiles the distance from the
 * previous one takes a byte; with gaps there are fewer tiles.
 */
function tileBytes({ hops, reach, lanes }: ChainPlan, tie: GreatestBytes): TileBytes[] {
  const each = inTurn(fixedBytes(1), ...lanes.map((lane) => lane.greatestBytes(tie)))
  let covered = 0
  return hops.map((hopMicros, level) => {
    const next = hops[Math.min(level + 1, hops.length - 1)] as number
    const far = (reach[level] as number) + next
    // at the finest level the tile that the high-water mark is in comes on top
    const most = level === 0 ? Math.ceil(far / hopMicros) : Math.ceil((far - covered) / hopMicros) - 1
    covered = Math.max(covered, reach[level] as number)
    return { hopMicros, tiles: Math.max(0, most), each }
  })
}
