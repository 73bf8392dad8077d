import { floorTo } from '../values/time.ts'

const minute = 60_000_000
const hour = 60 * minute
const day = 24 * hour

/**
 * The default hop of a sawtooth window, in microseconds. Windows of 12 days or more move their tail by a day, of 12
 * hours or more by an hour, of an hour or more by 5 minutes. Shorter windows move it by a twelfth of their length. The
 * three steps are those of Chronon (`windowing/Resolution.scala`).
 */
export function defaultHop(windowMicros: number): number {
  if (windowMicros >= 12 * day) return day
  if (windowMicros >= 12 * hour) return hour
  if (windowMicros >= hour) return 5 * minute
  return Math.max(1, Math.floor(windowMicros / 12))
}

/**
 * Splits hops (microseconds) into divisor chains. Each chain ascends, and every hop divides the next one, so that the
 * windows of one chain share tiles. The three default steps form one chain.
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

/** The start of a sawtooth window at `t`: the earliest event time that it covers. All values are in microseconds. */
export function windowStart(t: number, windowMicros: number, hopMicros: number): number {
  return floorTo(t - windowMicros, hopMicros)
}
