import { floorTo } from './time.ts'

const minute = 60_000_000
const hour = 60 * minute
const day = 24 * hour

/**
 * The hop of a sawtooth window in microseconds where its author names none: a window of 12 days or more moves its tail
 * by days, of 12 hours or more by hours, of an hour or more by 5 minutes, a shorter one by a twelfth of itself (as in
 * Chronon, `windowing/Resolution.scala`, whose three steps these are).
 */
export function defaultHop(windowMicros: number): number {
  if (windowMicros >= 12 * day) return day
  if (windowMicros >= 12 * hour) return hour
  if (windowMicros >= hour) return 5 * minute
  return Math.max(1, Math.floor(windowMicros / 12))
}

/**
 * Splits hops (microseconds) into divisor chains, each ascending with every hop dividing the next, so that the windows
 * of one chain share tiles. The three default steps are one chain.
 */
export function divisorChains(hops: readonly number[]): number[][] {
  const chains: number[][] = []
  for (const hop of [...new Set(hops)].sort((a, b) => a - b)) {
    const chain = chains.find((c) => hop % (c.at(-1) as number) === 0)
    if (chain === undefined) chains.push([hop])
    else chain.push(hop)
  }
  return chains
}

/** Where a sawtooth window's tail stands at `t`: the earliest event time that it covers. All in microseconds. */
export function windowStart(t: number, windowMicros: number, hopMicros: number): number {
  return floorTo(t - windowMicros, hopMicros)
}
