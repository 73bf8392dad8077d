/** A value of a series with its hour of the week, 0 to 167. A gap has no entry: it is not a zero. */
export interface SeasonalValue {
  readonly hourOfWeek: number
  readonly value: number
}

export interface AnomalyScore {
  /** (value - median) / (1.4826 · MAD) among past values of the same hour of the week. */
  readonly score: number
  readonly median: number
  /** The scale of the score: 1.4826 · MAD, or the floor where that is greater. */
  readonly scale: number
  /** Past values of the hour. */
  readonly n: number
}

/** Below so many past values of an hour of the week, neighbouring hours are taken too. */
const minValues = 4

/**
 * How unusual a value is for its hour of the week, by median and median absolute deviation, which a few past outliers
 * do not move. Where an hour has fewer than four past values, the hours beside it count too, and then all hours. The
 * scale has a floor, as a constant series has no deviation. null where there are fewer than four past values at all.
 *
 * @param history the last 4 to 8 weeks, without the value itself
 * @param floor the least scale, in the unit of the values; by default 1 % of the median's size
 */
export function seasonalAnomaly(history: readonly SeasonalValue[], now: SeasonalValue, floor?: number): AnomalyScore | null {
  for (const reach of [0, 1, 2, 84]) {
    const near = history.flatMap(({ hourOfWeek, value }) => (hoursApart(hourOfWeek, now.hourOfWeek) <= reach ? [value] : []))
    if (near.length < minValues) continue
    const middle = median(near)
    const deviation = 1.4826 * median(near.map((value) => Math.abs(value - middle)))
    const scale = Math.max(deviation, floor ?? 0.01 * Math.abs(middle), Number.MIN_VALUE)
    return { score: (now.value - middle) / scale, median: middle, scale, n: near.length }
  }
  return null
}

function hoursApart(a: number, b: number): number {
  const apart = Math.abs(a - b) % 168
  return Math.min(apart, 168 - apart)
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2
}
