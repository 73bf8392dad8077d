/** A value of a series with its hour of the week, 0 to 167. A gap has no entry: it is not a zero. */
interface SeasonalValue {
  readonly hourOfWeek: number
  readonly value: number
}

/** An hour of the week with fewer past values says nothing about what is usual. */
const minOfHour = 3
/** Fewer past values in all say nothing about how much they vary. */
const minInAll = 168
/** The least scale: five percent. */
const minScale = 0.05

export interface TrafficVerdict {
  readonly anomalous: boolean
  readonly score: number
  /** The median of the same hour of the week. */
  readonly median: number
  /** (value - median) / median */
  readonly change: number
  /** Past values in all. */
  readonly n: number
}

/**
 * Whether a count of requests is unusual for its hour of the week. It is compared with the median of that hour, as a
 * logarithm of their ratio. The scale is 1.4826 · MAD of the same ratios of all past hours, each against the others of
 * its hour: a few values of one hour are too few for a scale, and neighbouring hours have other medians. It is at least
 * that of independent requests (Poisson). Score and change must both be large. null where there is too little history.
 * docs/alerts.md has the false-alarm rates.
 *
 * @param history hours of the last weeks, without the value itself
 */
export function trafficVerdict(
  history: readonly SeasonalValue[],
  now: SeasonalValue,
  { score: maxScore, minChange }: { readonly score: number; readonly minChange: number },
): TrafficVerdict | null {
  const hours = Map.groupBy(history, ({ hourOfWeek }) => hourOfWeek)
  const own = (hours.get(now.hourOfWeek) ?? []).map(({ value }) => value)
  if (own.length < minOfHour) return null
  const residuals = [...hours.values()].flatMap((of) => {
    if (of.length < minOfHour) return []
    return of.map(({ value }, i) => ratio(value, median(of.flatMap((other, at) => (at === i ? [] : [other.value])))))
  })
  if (residuals.length < minInAll) return null
  const usual = median(own)
  const deviation = 1.4826 * median(residuals.map(Math.abs))
  const scale = Math.max(deviation, minScale, Math.sqrt((1 + 1 / own.length) / (usual + 1)))
  const score = ratio(now.value, usual) / scale
  const change = usual === 0 ? (now.value === 0 ? 0 : Number.MAX_VALUE) : (now.value - usual) / usual
  // a rise is as large as the fall that undoes it
  const isLarge = usual > 0 && (change <= -minChange || change >= minChange / (1 - minChange))
  return { anomalous: isLarge && Math.abs(score) >= maxScore, score, median: usual, change, n: residuals.length }
}

/** The logarithm of the ratio of two counts. */
function ratio(value: number, to: number): number {
  return Math.log((value + 1) / (to + 1))
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const [a = 0, b = 0] = [sorted[middle - 1], sorted[middle]]
  return sorted.length % 2 === 1 ? b : (a + b) / 2
}
