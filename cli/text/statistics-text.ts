import { formatShare } from '../../kernel/values/format-number.ts'
import type { ColumnStatistics } from '../../offline/profile/column-statistics.ts'
import type { NumberStatistics } from '../../offline/profile/number-statistics.ts'
import { count } from './human.ts'

export interface ShownStatistics extends Pick<ColumnStatistics, 'count' | 'nulls' | 'values' | 'times'> {
  readonly numbers?: Omit<NumberStatistics, 'histogram'>
}

/** The number of nulls, and statistics of the other values. */
export function valuesText(statistics: ShownStatistics | undefined): [string, string] {
  if (statistics === undefined) return ['', '']
  const { nulls, numbers, values, times, count: present } = statistics
  const rounded = (value: number | null): string => (value === null ? 'none' : String(Number(value.toPrecision(4))))
  const edge = (value: number | string | null): string =>
    typeof value === 'number' && !Number.isInteger(value) ? rounded(value) : String(value)
  const share = (of: number): string => formatShare(of / present)
  const shown = (value: string | boolean): string => (typeof value === 'string' ? JSON.stringify(value) : String(value))
  if (numbers !== undefined && numbers.mean !== null) {
    const { mean, stddev, min, max, quantiles } = numbers
    return [
      count(nulls),
      `${edge(min)} to ${edge(max)}, mean ${rounded(mean)} ± ${rounded(stddev)}, median ${rounded(quantiles['0.5'] ?? null)}`,
    ]
  }
  if (values !== undefined)
    return [
      count(nulls),
      values.top
        .slice(0, 3)
        .map(({ value, count: often }) => `${shown(value)} ${share(often)}`)
        .join(', '),
    ]
  return [count(nulls), times === undefined || times.min === null ? '' : `${times.min} to ${times.max}`]
}
