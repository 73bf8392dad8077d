import type { EntityKey } from '../kernel/values/entity-key.ts'
import type { TimeRule, ViewPlan } from '../kernel/view-plan.ts'
import { servedTime } from '../kernel/view-plan.ts'
import type { Lookup } from './lookup.ts'

/**
 * The few source rows that a few lookups can need, so that an index of key and time finds them and the rest of the
 * table is not read. Times are those that streams sort by (the later of event and known time), in epoch microseconds.
 */
export interface NeededRows {
  /**
   * For each key, disjoint intervals [from, to] of which all rows are read. `from` is -Infinity where the first row can
   * still matter.
   */
  readonly intervals: readonly { readonly key: EntityKey; readonly from: number; readonly to: number }[]
  /** The rows with the greatest event time after `after` and up to `until`: all that a latest value can be. */
  readonly greatest: readonly { readonly key: EntityKey; readonly after: number; readonly until: number }[]
  /** Whether no row can be both in an interval and in `greatest`. */
  readonly apart: boolean
}

/** A query that lists more lookups is no longer cheap. */
const maxLookups = 5_000

/**
 * The rows that lookups need. If rows are visible from their event on, the greatest row is in the interval of a lookup,
 * or between the previous interval and this one. If rows are known later, a row may have happened in an earlier
 * interval without being visible in it. Then each lookup searches its greatest row itself.
 *
 * @param lookups of views among `plans`, ordered by key and time
 * @returns null where there are too many
 */
export function neededRows(
  plans: readonly ViewPlan[],
  lookups: readonly Pick<Lookup, 'key' | 'time'>[],
  rule: TimeRule = servedTime,
  bound: 'at' | 'before' = 'at',
): NeededRows | null {
  if (lookups.length > maxLookups) return null
  const reach = Math.max(...plans.map((plan) => plan.needs.windowMicros))
  const latest = plans.filter((plan) => plan.needs.greatest)
  const seen = (time: number): number[] => latest.flatMap((plan) => seenUntil(plan, time, rule, bound) ?? [])
  const known = rule.knowledge !== 'latest' && plans.some((plan) => plan.spec.source.known !== null)
  const intervals: Interval[] = []
  const greatest: NeededRows['greatest'][number][] = []
  for (const { key, time } of lookups) {
    const last = intervals.at(-1)
    if (reach === 0 || known) for (const until of new Set(seen(time))) greatest.push({ key, after: Number.NEGATIVE_INFINITY, until })
    if (reach === 0) continue
    if (last !== undefined && last.key === key && last.to >= time - reach) last.to = time
    else intervals.push({ key, from: time - reach, to: time, untils: new Set() })
    if (!known) {
      const { from, untils } = intervals.at(-1) as Interval
      for (const until of seen(time)) untils.add(Math.min(until, from - 1))
    }
  }
  for (const [i, { key, untils }] of intervals.entries()) {
    const before = intervals[i - 1]
    let after = before?.key === key ? before.to : Number.NEGATIVE_INFINITY
    for (const until of [...untils].sort((a, b) => a - b)) {
      if (until > after) greatest.push({ key, after, until })
      after = Math.max(after, until)
    }
  }
  return { intervals, greatest, apart: reach === 0 || !known }
}

interface Interval {
  readonly key: EntityKey
  readonly from: number
  to: number
  /** The moments before `from` up to which its lookups need the greatest row. */
  readonly untils: Set<number>
}

/** The last moment from which a view has seen a row by `time`; null where that is beyond all memory. */
function seenUntil(plan: ViewPlan, time: number, rule: TimeRule, bound: 'at' | 'before'): number | null {
  const seen = (moment: number): boolean => {
    const visible = plan.visibleAt(moment, null, rule)
    return bound === 'before' ? visible < time : visible <= time
  }
  if (seen(time)) return time
  let step = 1
  while (!seen(time - step)) if ((step *= 2) > 2 ** 52) return null
  let low = time - step
  let high = time - Math.floor(step / 2)
  while (high - low > 1) {
    const middle = low + Math.floor((high - low) / 2)
    if (seen(middle)) low = middle
    else high = middle
  }
  return low
}
