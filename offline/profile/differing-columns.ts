import { isDeepStrictEqual } from 'node:util'
import { samplingError, shareError } from '../../statistics/sampling-error.ts'
import type { ColumnStatistics } from './column-statistics.ts'

type Statistics = readonly ColumnStatistics[]

/**
 * The columns whose statistics differ. One that has the same statistics may differ, too.
 *
 * @param now by index of `was`
 */
export function differingColumns(was: Statistics, now: Statistics): string[] {
  return was.flatMap((statistics, i) => (isDeepStrictEqual(statistics, now[i]) ? [] : [statistics.column]))
}

/**
 * The columns whose statistics in a uniform sample differ from those of all rows by more than chance explains.
 *
 * @param was of all rows
 * @param sample by index of `was`
 */
export function columnsBeyondChance(was: Statistics, sample: Statistics): string[] {
  return was.flatMap((statistics, i) => {
    const drawn = sample[i]
    return drawn !== undefined && isDrawn(statistics, drawn) ? [] : [statistics.column]
  })
}

function isDrawn(all: ColumnStatistics, drawn: ColumnStatistics): boolean {
  const shareOf = ({ count, nulls }: ColumnStatistics): number => nulls / Math.max(1, count + nulls)
  const isNear = isNearShare(shareOf(all), shareOf(drawn), drawn.count + drawn.nulls)
  return isNear && areDrawnNumbers(all, drawn) && areDrawnValues(all, drawn) && isWithin(all.times, drawn.times)
}

function isNearShare(share: number, drawn: number, n: number): boolean {
  return Math.abs(drawn - share) <= shareError(n, share)
}

function areDrawnNumbers({ numbers: all }: ColumnStatistics, { count, numbers: drawn }: ColumnStatistics): boolean {
  if (all === undefined || drawn === undefined || drawn.mean === null) return true
  if (all.min === null || all.max === null || all.mean === null || drawn.min === null || drawn.max === null) return false
  const [min, max] = [Number(all.min), Number(all.max)]
  if (Number(drawn.min) < min || Number(drawn.max) > max) return false
  const finite = count - drawn.nan - drawn.positiveInfinity - drawn.negativeInfinity
  const rounding = Math.abs(all.mean) * 1e-12
  return Math.abs(drawn.mean - all.mean) <= samplingError(finite, { deviation: all.stddev ?? 0, range: max - min }) + rounding
}

function areDrawnValues({ count, values: all }: ColumnStatistics, { count: n, values: drawn }: ColumnStatistics): boolean {
  if (all === undefined || drawn === undefined) return true
  const counts = new Map(drawn.top.map((each) => [each.value, each.count]))
  const isNear = all.top.every(({ value, count: before }) => {
    const found = counts.get(value) ?? (drawn.distinct === drawn.top.length ? 0 : null)
    // a value that is rare in the sample has no count, and one of too many has an approximate one
    if (found === null || all.approximate || drawn.approximate) return true
    return isNearShare(before / count, found / Math.max(1, n), n)
  })
  const known = all.distinct === all.top.length ? new Set(all.top.map(({ value }) => value)) : null
  return isNear && (known === null || drawn.top.every(({ value }) => known.has(value)))
}

function isWithin(all: ColumnStatistics['times'], drawn: ColumnStatistics['times']): boolean {
  if (all === undefined || drawn === undefined || drawn.min === null || drawn.max === null) return true
  return (
    all.min !== null && all.max !== null && Date.parse(drawn.min) >= Date.parse(all.min) && Date.parse(drawn.max) <= Date.parse(all.max)
  )
}
