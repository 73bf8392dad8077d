import type { Sequence } from './confidence-sequence.ts'

/** The confidence sequence of a mean of values from 0 to 1, observation by observation. */
export interface BoundedMean {
  /** @throws RangeError for a value that is not from 0 to 1 */
  add(value: number): void
  /** @param options `nullValue` is what `p` is about */
  sequence(options?: { readonly alpha?: number; readonly nullValue?: number }): Sequence
}

const steps = 1000

/**
 * A confidence sequence for values that are known to be from 0 to 1, exact at every n: nothing is assumed of their
 * distribution but the bounds, and that each has the same mean given those before. For small samples, and where an
 * asymptotic interval is refused. Two gamblers bet against each possible mean, one that it is higher and one that it is
 * lower; the sequence holds the means against which they did not win 1/alpha. It does not depend on alpha until it is
 * asked. Source: Waudby-Smith and Ramdas, JRSS B 86 (2024), the hedged capital process with predictable plug-in bets,
 * truncated at 1/2.
 *
 * Scale other bounded values to [0, 1] first. Limits lie on a grid of 1/1,000, rounded outwards.
 */
export function createBoundedMean(): BoundedMean {
  const up = new Float64Array(steps + 1)
  const down = new Float64Array(steps + 1)
  let n = 0
  let sum = 0
  /** Σ (x - mean so far)². */
  let squares = 0
  const logCapital = (step: number): number => Math.max(up[step] as number, down[step] as number) - Math.LN2
  return {
    add(value) {
      if (!(value >= 0 && value <= 1)) throw new RangeError(`The value ${value} is not from 0 to 1.`)
      // a bet knows only what came before
      const variance = (0.25 + squares) / (n + 1)
      const bet = Math.sqrt((2 * Math.log(2 / 0.05)) / (variance * (n + 1) * Math.log(n + 2)))
      for (let step = 0; step <= steps; step++) {
        const mean = step / steps
        const distance = value - mean
        const high = Math.min(bet, 0.5 / Math.max(mean, 1e-9))
        const low = Math.min(bet, 0.5 / Math.max(1 - mean, 1e-9))
        up[step] = (up[step] as number) + Math.log1p(high * distance)
        down[step] = (down[step] as number) + Math.log1p(-low * distance)
      }
      n++
      sum += value
      squares += (value - (0.5 + sum) / (n + 1)) ** 2
    },
    sequence({ alpha = 0.05, nullValue = 0.5 } = {}) {
      const value = n === 0 ? Number.NaN : sum / n
      const middle = n === 0 ? steps / 2 : Math.round(value * steps)
      const limit = -Math.log(alpha)
      let [first, last] = [middle, middle]
      while (first > 0 && logCapital(first - 1) < limit) first--
      while (last < steps && logCapital(last + 1) < limit) last++
      // the nearest step towards the mean of the sample: p and the limits round alike
      const nearest = nullValue < value ? Math.floor(nullValue * steps) + 1 : Math.ceil(nullValue * steps) - 1
      const e = n === 0 ? 1 : Math.exp(logCapital(Math.min(steps, Math.max(0, nearest))))
      return { value, low: Math.max(0, first - 1) / steps, high: Math.min(steps, last + 1) / steps, p: Math.min(1, 1 / e), e }
    },
  }
}
