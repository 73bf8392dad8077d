import { percent } from './distribution-chart.ts'
import { type Markup, element } from './markup.ts'

/** Shares of feature reads by status; they sum to 1. */
export type StatusShares = Readonly<Record<string, number>>

const [width, height] = [420, 14]

/** One bar, cut by status. PRESENT is not drawn, as it is the rest. The scale ends at `max`. */
export function statusBar(shares: StatusShares, max: number): Markup {
  let x = 0
  const parts = Object.entries(shares).flatMap(([status, share]) => {
    if (status === 'PRESENT' || share === 0) return []
    const part = element(
      'rect',
      { class: `status ${status.toLowerCase().replaceAll('_', '-')}`, x, y: 0, width: (share / max) * width, height },
      element('title', {}, `${status}: ${percent(share)}`),
    )
    x += (share / max) * width
    return [part]
  })
  return element(
    'svg',
    { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': 'Statuses', preserveAspectRatio: 'none' },
    element('rect', { class: 'empty', x: 0, y: 0, width, height }),
    ...parts,
  )
}
