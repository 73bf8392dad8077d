import type { ReliabilityPoint } from '../../statistics/calibration.ts'
import { type Markup, element } from './markup.ts'
import { linearScale, shortNumber } from './scale.ts'

const [size, edge] = [240, 30]

/** The share of positives by predicted probability. A calibrated model's curve lies in the band. */
export function reliabilityChart(name: string, curve: readonly ReliabilityPoint[]): Markup {
  const x = linearScale([0, 1], edge, size - 8)
  const y = linearScale([0, 1], size - edge, 8)
  const place = (probability: number, share: number): string => `${x.position(probability).toFixed(1)},${y.position(share).toFixed(1)}`
  const shown = thinned(curve)
  const band = [
    ...shown.map(({ probability, high }) => place(probability, high)),
    ...shown.map(({ probability, low }) => place(probability, low)).toReversed(),
  ]
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
    element('polyline', { class: 'line', points: shown.map(({ probability, share }) => place(probability, share)).join(' ') }),
    ...texts,
  )
}

const maxPoints = 200

/** At most 200 points, the first and the last among them: a line of 240 pixels shows no more. */
function thinned(curve: readonly ReliabilityPoint[]): readonly ReliabilityPoint[] {
  if (curve.length <= maxPoints) return curve
  return Array.from({ length: maxPoints }, (_, i) => curve[Math.round((i * (curve.length - 1)) / (maxPoints - 1))] as ReliabilityPoint)
}
