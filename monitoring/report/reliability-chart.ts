import type { CurveStep } from '../quality/calibration-figures.ts'
import { type Markup, element } from './markup.ts'
import { linearScale, shortNumber } from './scale.ts'

const [size, edge] = [240, 30]

/** The share of positives by predicted probability. A calibrated model's curve lies in the band. */
export function reliabilityChart(name: string, steps: readonly CurveStep[]): Markup {
  const x = linearScale([0, 1], edge, size - 8)
  const y = linearScale([0, 1], size - edge, 8)
  const place = (probability: number, share: number): string => `${x.position(probability).toFixed(1)},${y.position(share).toFixed(1)}`
  const middle = ({ from, to }: CurveStep): number => (from + to) / 2
  const band = [...steps.map((step) => place(middle(step), step.high)), ...steps.map((step) => place(middle(step), step.low)).toReversed()]
  const line = steps.flatMap(({ from, to, share }) => [place(from, share), place(to, share)])
  const texts = [0, 0.5, 1].flatMap((tick) => [
    element('text', { class: 'label', x: x.position(tick), y: size - edge + 16, 'text-anchor': 'middle' }, shortNumber(tick)),
    element('text', { class: 'label', x: edge - 6, y: y.position(tick) + 4, 'text-anchor': 'end' }, shortNumber(tick)),
  ])
  return element(
    'svg',
    { class: 'square', viewBox: `0 0 ${size} ${size}`, role: 'img', 'aria-label': `Reliability of ${name}` },
    element('rect', { class: 'frame', x: edge, y: 8, width: size - edge - 8, height: size - edge - 8 }),
    element('polygon', { class: 'band', points: band.join(' ') }),
    element('polyline', { class: 'diagonal', points: `${place(0, 0)} ${place(1, 1)}` }),
    element('polyline', { class: 'line', points: line.join(' ') }),
    ...texts,
  )
}
