import type { LatencyHistogram } from '../../rollups/latency-histogram.ts'

/** Fewer hours say nothing about what is usual. */
const minHours = 24
/** The compared latency is this quantile of the hours before. */
const usualShare = 0.9
/** Hours of the day that are so near are compared with, once there are enough of them. */
const nearHours = 1
const minNearHours = 6
/** Standard normal quantile of the level of `quantileLowerBound`: 90 %. */
const boundZ = 1.2816

export interface LatencyRule {
  readonly quantile: number
  readonly factor: number
  readonly minRequests: number
}

export interface LatencyHour {
  /** Since 1970. */
  readonly hour: number
  readonly total: LatencyHistogram
}

export interface UsualLatency {
  readonly ms: number
  /** How many hours it is known from. */
  readonly hours: number
}

/**
 * What the quantile was in most of the hours before, at about the same time of day: a time that is usual in a busy
 * afternoon is slow at night. null: there are too few hours with enough requests.
 */
export function usualLatency(before: readonly LatencyHour[], hour: number, { quantile, minRequests }: LatencyRule): UsualLatency | null {
  const known = before.flatMap(({ hour: at, total }) => {
    const ms = total.count < minRequests ? null : total.quantile(quantile)
    return ms === null ? [] : [{ at, ms }]
  })
  if (known.length < minHours) return null
  const near = known.filter(({ at }) => {
    const apart = Math.abs(at - hour) % 24
    return Math.min(apart, 24 - apart) <= nearHours
  })
  const compared = (near.length < minNearHours ? known : near).map(({ ms }) => ms).toSorted((a, b) => a - b)
  const ms = compared[Math.min(compared.length - 1, Math.floor(usualShare * compared.length))]
  return ms === undefined ? null : { ms, hours: compared.length }
}

/**
 * The lower bound, at 90 %, of the quantile of independent requests: the order statistic whose rank is so many standard
 * deviations below (Conover, Practical Nonparametric Statistics, 3.2). The quantile of few requests is itself too
 * noisy. null: there are no requests.
 */
export function quantileLowerBound(total: LatencyHistogram, quantile: number): number | null {
  return total.quantile(Math.max(0, quantile - boundZ * Math.sqrt((quantile * (1 - quantile)) / Math.max(1, total.count))))
}
