import { describe, expect, it } from 'vitest'
import { distributionChart, percent } from '../../../monitoring/report/distribution-chart.ts'
import { element } from '../../../monitoring/report/markup.ts'
import { page, table } from '../../../monitoring/report/page.ts'
import { linearScale, shortNumber, ticks } from '../../../monitoring/report/scale.ts'
import { seriesChart } from '../../../monitoring/report/series-chart.ts'

describe('a page', () => {
  it('shows names as text, whatever they contain', () => {
    const hostile = `<script>alert("x")</script>' onload='x`
    const html = page(hostile, [hostile], [{ id: hostile, title: hostile, note: hostile, body: [table([hostile], [[hostile]])] }])
    expect(html).not.toContain('<script>')
    expect(html).not.toMatch(/id="[^"]*'[^"]*"/)
    expect(html.match(/&lt;script&gt;/g)?.length).toBe(10)
  })

  it('loads nothing', () => {
    const html = page('model', [], [])
    expect(html).toContain(`content="default-src 'none'; style-src 'unsafe-inline'"`)
    expect(html).not.toMatch(/src=|url\(|@import|https?:/)
  })

  it('leaves out attributes that are undefined', () => {
    expect(element('a', { href: undefined, id: 'x' }, 'y').markup).toBe('<a id="x">y</a>')
  })
})

describe('a series', () => {
  const at = (i: number) => i * 60_000_000

  it('is interrupted by a gap, which is no zero', () => {
    const { markup } = seriesChart(
      'requests',
      [1, 2, null, 4, 0].map((value, i) => ({ at: at(i), value })),
    )
    expect(markup.match(/<polyline class="line"/g)?.length).toBe(2)
    expect(markup.match(/<circle/g)?.length).toBe(4)
  })

  it('of gaps alone, or of nothing, has no line', () => {
    for (const points of [[], [{ at: 0, value: null }]]) expect(seriesChart('requests', points).markup).not.toContain('polyline')
  })

  it('has its interval in the chart', () => {
    const points = [0.8, 0.82, null, 0.81].map((value, i) => ({ at: at(i), value, low: 0.7, high: 0.9 }))
    const { markup } = seriesChart('auc', points)
    expect(markup).toContain('0.8 (0.7 to 0.9)')
    expect(markup.match(/<polygon class="band"/g)?.length).toBe(1)
    expect(markup.match(/<path class="whisker"/g)?.length).toBe(1)
  })

  it('of one point draws its interval from the low to the high limit', () => {
    const { markup } = seriesChart('auc', [{ at: 0, value: 0.8, low: 0.7, high: 0.9 }])
    // the limits are the ends of the axis: 138 px below, 8 px above
    expect(markup).toMatch(/<path class="whisker" d="M[\d.]+,138\.0V8\.0M/)
    expect(markup).not.toContain('NaN')
  })
})

describe('a distribution', () => {
  it('has two bars a bin with a baseline, and one without', () => {
    const window = [0.5, 0.25, 0.25]
    const bars = (baseline: readonly number[] | null) =>
      distributionChart('amount', { labels: ['null', '≤ 3', '> 3'], baseline, window }).markup.match(/<rect/g)?.length
    expect([bars([0, 0.5, 0.5]), bars(null)]).toEqual([6, 3])
  })

  it('without any bin is empty', () => {
    expect(distributionChart('amount', { labels: [], baseline: null, window: [] }).markup).not.toContain('NaN')
  })

  it('shows small shares with more digits', () => {
    expect([percent(0.25), percent(0.0005), percent(0), percent(1)]).toEqual(['25.0 %', '0.05 %', '0.0 %', '100.0 %'])
  })
})

describe('a scale', () => {
  it('has round ticks within its values', () => {
    expect(ticks(linearScale([0.113, 0.874], 0, 100), 4)).toEqual([0.2, 0.4, 0.6, 0.8])
    expect(ticks(linearScale([-3, 12_000], 0, 100), 4)).toEqual([0, 5000, 10_000])
  })

  it('of equal values or none spans one unit', () => {
    expect(linearScale([7, 7], 0, 100).position(7)).toBe(50)
    // a share that is always 0 has no negative values on its axis
    expect(linearScale([0, 0], 0, 100)).toMatchObject({ min: 0, max: 1 })
    expect(linearScale([], 0, 100).position(1)).toBe(100)
  })

  it('writes numbers with four digits', () => {
    expect([0.123456, 12_345.6, 1e-7, 2.5e12, 0, -0.5].map(shortNumber)).toEqual(['0.1235', '12,350', '1.00e-7', '2.50e+12', '0', '-0.5'])
  })
})
