import type { Accumulator } from './aggregates/aggregate.ts'
import type { LatestRows } from './states/latest-rows.ts'
import type { ViewValues } from './states/state.ts'
import { allPresent, Status } from './states/state.ts'
import type { StatePlan } from './states/state-plan.ts'
import { floorTo } from './values/time.ts'
import type { Value } from './values/value-type.ts'

/** The parts of a state that features are read from. No row that is visible at that moment is pending. */
export interface StateParts extends LatestRows {
  readonly lifetime: readonly Accumulator[]
  /** The accumulators of a window at `t`, by index of its plan's `lanes`. Read only. */
  windowAt(chain: number, window: number, t: number): readonly Accumulator[]
}

/** A `ViewValues` under construction. */
interface Answer {
  readonly values: (Value | null)[]
  /** Shared with `allPresent` while all values are present, so it is copied before the first write. */
  statuses: readonly Status[]
  eventTime: number | null
}

/**
 * A view's feature values at `t`, from decoded or encoded state parts.
 *
 * @param into an earlier answer of the same view to overwrite and return; null: a new answer
 */
export function answerAt(plan: StatePlan, parts: StateParts, t: number, into: ViewValues | null): ViewValues {
  const { features, defaults } = plan
  const { lastEvent } = parts
  const found = lastEvent >= horizonAt(plan, t)
  const answer = (into as Answer | null) ?? newAnswer(features.length)
  const { values } = answer
  const present = allPresent(features.length)
  let { statuses } = answer
  let chain = -1
  let window = -1
  let lanes: readonly Accumulator[] = []
  for (let i = 0; i < features.length; i++) {
    const feature = features[i] as (typeof features)[number]
    let value: Value | null = null
    let status: Status = Status.notFound
    if (feature.kind === 'latest') {
      const latest = parts.rows[feature.row] ?? null
      if (latest !== null && feature.ttlMicros !== null && t - latest.key.eventTime > feature.ttlMicros) {
        status = Status.outsideMaxAge
      } else if (found) {
        value = latest?.values[feature.index] ?? null
        status = value === null ? Status.nullValue : Status.present
      }
    } else if (feature.kind === 'lifetime') {
      const read = feature.aggregate.value(parts.lifetime[feature.lane] as Accumulator)
      value = read ?? null
      if (found) status = statusOf(read)
    } else {
      if (chain !== feature.chain || window !== feature.window) {
        chain = feature.chain
        window = feature.window
        lanes = parts.windowAt(chain, window, t)
      }
      const read = feature.aggregate.value(lanes[feature.lane] as Accumulator)
      value = read ?? null
      if (found) status = statusOf(read)
    }
    values[i] = value ?? defaults[i] ?? null
    if (statuses[i] !== status) {
      if (statuses === present) statuses = present.slice()
      ;(statuses as Status[])[i] = status
    }
  }
  answer.statuses = statuses
  answer.eventTime = found ? lastEvent : null
  return answer
}

function newAnswer(features: number): Answer {
  return { values: new Array<Value | null>(features), statuses: allPresent(features), eventTime: null }
}

/**
 * The earliest event time that counts at `t`. If all features have windows, it is the start of the window that reaches
 * furthest back.
 */
function horizonAt({ endless, tails }: StatePlan, t: number): number {
  if (endless) return Number.MIN_SAFE_INTEGER
  return tails.reduce(
    (start, { windowMicros, hopMicros }) => Math.min(start, floorTo(t - windowMicros, hopMicros)),
    Number.POSITIVE_INFINITY,
  )
}

function statusOf(value: Value | null | undefined): Status {
  if (value === undefined) return Status.invalid
  return value === null ? Status.nullValue : Status.present
}
