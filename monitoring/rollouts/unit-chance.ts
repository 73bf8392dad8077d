import type { Draws } from '../../statistics/bernoulli-mixture.ts'
import { assignmentRise } from '../../statistics/assignment-rise.ts'
import type { LatencyHistogram } from '../rollups/latency-histogram.ts'
import type { TimesByUnit } from './times-by-unit.ts'

/** P-values of what the times show, if all times of a unit depend on each other. */
export type UnitChance = {
  /** That the candidate takes longer than is allowed. */
  readonly slower: number
  /** That it does not. */
  readonly kept: number
}

interface ComparedTimes {
  readonly candidate: TimesByUnit
  readonly champion: TimesByUnit
  /** The share of the candidate, below 1. */
  readonly share: number
  /** How long the candidate may take for what takes the champion so long, milliseconds. */
  readonly allowed: (ms: number) => number
  /** The level at which the p-values are compared. */
  readonly alpha: number
}

/** The candidate's units are compared with up to seven times as many of the champion's. */
const comparedPart = 8

/** Whether the unit is one that is compared. A group of many units of the champion would count as one unit. */
export function isCompared(place: number, share: number): boolean {
  return place < comparedPart * share
}

/** A bucket is wider than its start by this factor at most. */
const bucketWidth = 1.1

/**
 * Chance decides which units the candidate gets. The p-values say how well chance alone explains the times, if the
 * candidate takes exactly as long as is allowed for each unit (`statistics/assignment-rise.ts`).
 *
 * @param quantiles of the champion's times, at each of which the versions are compared: few units show a difference of
 *   the median sooner than one of the longest times
 */
export function unitChance({ candidate, champion, share, allowed, alpha }: ComparedTimes, quantiles: readonly number[]): UnitChance {
  const [own, others] = [candidate.byGroup(), champion.byGroup()]
  const [n, m] = [own, others].map((groups) => groups.reduce((sum, { count }) => sum + count, 0)) as [number, number]
  if (n === 0 || m === 0) return { slower: 1, kept: 1 }
  const total = champion.total()
  const limits = quantiles.map((quantile) => upperEdge(total, quantile))
  // requests with rows of several units are likelier than a unit to be answered by the candidate
  const shares = [Math.max(share, 1 / comparedPart), n / (n + m)]
  const p = (drawsAt: (limit: number) => readonly [readonly Draws[], readonly Draws[]]): number => {
    const draws = limits.map(drawsAt)
    // a mean of e-values is an e-value
    const meanAt = (at: number) =>
      draws.reduce((sum, [control, treatment]) => sum + Math.exp(assignmentRise(control, treatment, at, alpha)), 0) / draws.length
    return Math.min(1, 1 / Math.min(...shares.map(meanAt)))
  }
  return {
    slower: p((limit) => [above(others, limit), above(own, allowed(limit))]),
    kept: p((limit) => [upTo(others, limit), upTo(own, allowed(limit) / bucketWidth)]),
  }
}

/** The end of the bucket that holds the quantile. */
function upperEdge(times: LatencyHistogram, quantile: number): number {
  const { to, counts } = times.bins()
  let [bin, below] = [0, 0]
  while (bin < counts.length - 1 && (below += counts[bin] as number) < times.count * quantile) bin++
  return to[bin] as number
}

function above(groups: readonly LatencyHistogram[], ms: number): Draws[] {
  return groups.map((times) => ({ successes: times.countAbove(ms), n: times.count }))
}

function upTo(groups: readonly LatencyHistogram[], ms: number): Draws[] {
  return above(groups, ms).map(({ successes, n }) => ({ successes: n - successes, n }))
}
