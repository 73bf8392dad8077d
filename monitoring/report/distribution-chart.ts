import { type Markup, element } from './markup.ts'
import { linearScale } from './scale.ts'

/** Shares of rows by bin, of a window and of its baseline. */
export interface Distribution {
  readonly labels: readonly string[]
  /** null: there is no baseline. */
  readonly baseline: readonly number[] | null
  readonly window: readonly number[]
}

const [width, height, top, bottom] = [420, 140, 8, 20]

/** Two bars a bin: the baseline and the window. A bar says its share when the pointer is on it. */
export function distributionChart(name: string, { labels, baseline, window }: Distribution): Markup {
  const y = linearScale([0, ...window, ...(baseline ?? [])], height - bottom, top)
  const slot = width / Math.max(1, labels.length)
  const bar = (share: number, x: number, series: string, text: string): Markup =>
    element(
      'rect',
      { class: series, x, width: Math.max(1, slot * 0.4), y: y.position(share), height: Math.max(0, y.position(0) - y.position(share)) },
      element('title', {}, text),
    )
  const bars = labels.flatMap((label, i) => {
    const [now, before] = [window[i] ?? 0, baseline?.[i]]
    const x = i * slot + slot * 0.1
    return [
      ...(before === undefined ? [] : [bar(before, x, 'baseline', `${label}: ${percent(before)} in the baseline`)]),
      bar(now, x + slot * 0.4, 'window', `${label}: ${percent(now)} now`),
    ]
  })
  // labels that would overlap are left out; each bar has its own in its title
  const every = Math.ceil((labels.length * 46) / width)
  const texts = labels.flatMap((label, i) =>
    i % every === 0
      ? [
          element(
            'text',
            { class: 'label', x: (i + 0.5) * slot, y: height - bottom + 14, 'text-anchor': 'middle' },
            cut(label, Math.floor((slot * every) / 6)),
          ),
        ]
      : [],
  )
  return element(
    'svg',
    { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': `Distribution of ${name}` },
    element('line', { class: 'axis', x1: 0, x2: width, y1: y.position(0), y2: y.position(0) }),
    ...bars,
    ...texts,
  )
}

export function percent(share: number): string {
  const value = share * 100
  return `${value.toFixed(value > 0 && value < 1 ? 2 : 1)} %`
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, Math.max(1, length - 1))}…`
}
