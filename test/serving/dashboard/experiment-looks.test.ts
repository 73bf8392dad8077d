import { expect, it } from 'vitest'
import type { VariantComparison, Interval, MetricResult } from '../../../monitoring/experiments/experiment-result.ts'
import { looksChart } from '../../../serving/dashboard/experiments/experiment-model.ts'

const around = (value: number, half: number): Interval => ({ value, low: value - half, high: value + half })
const comparison = { variant: 'treatment', control: 'control', state: 'estimated', lift: null, significant: false, waitsFor: null }
const lookAt = (hour: number, value: number | null, unadjusted: number | undefined, adjusted: number) => ({
  asOf: `2001-07-01T0${hour}:00:00Z`,
  units: 100 * hour,
  comparisons: [
    {
      variant: 'treatment',
      p: null,
      difference: value === null ? null : around(value, adjusted),
      unadjusted: value === null || unadjusted === undefined ? null : around(value, unadjusted),
    },
  ],
})
const chartOf = (better: MetricResult['better'], ...looks: ReturnType<typeof lookAt>[]) =>
  looksChart(
    looks,
    { metric: 'cost', better } as MetricResult,
    { ...comparison, difference: looks.at(-1)?.comparisons[0]?.difference ?? null } as VariantComparison,
  )

it('looks at which only the unadjusted interval excludes 0 are marked with whom they would have decided for', () => {
  const looks = [lookAt(1, null, 1, 1), lookAt(2, 5, 4, 8), lookAt(3, -4, 3, 6), lookAt(4, 2, 3, 5), lookAt(5, 4, 2, 3)]
  const { marks, finding, series } = chartOf('higher', ...looks)
  expect(marks?.points).toEqual([
    { t: Date.UTC(2001, 6, 1, 2), text: 'looking then would have decided for treatment' },
    { t: Date.UTC(2001, 6, 1, 3), text: 'looking then would have decided for control' },
  ])
  expect(finding).toBe('At 2 of 5 looks, the unadjusted interval would have decided too early: 1 for control, 1 for treatment.')
  expect(series.map(({ grey, points }) => [grey, points.map(({ low }) => low)])).toEqual([
    [undefined, [undefined, -3, -10, -3, 1]],
    [true, [undefined, 1, -7, -1, 2]],
  ])
  const winners = chartOf('lower', ...looks).marks?.points.map(({ text }) => text.split(' ').at(-1))
  expect(winners).toEqual(['control', 'treatment'])
})

it('analyses without unadjusted intervals show the sequence alone', () => {
  const { marks, series } = chartOf('higher', lookAt(1, 5, undefined, 8), lookAt(2, 5, undefined, 4))
  expect([marks, series.length]).toEqual([undefined, 1])
})
