/** Positions of values on an axis, in pixels. */
export interface Scale {
  readonly min: number
  readonly max: number
  position(value: number): number
}

/** A linear scale. If all values are equal, it spans one unit around them; if all are 0, from 0 to 1. */
export function linearScale(values: readonly number[], from: number, to: number): Scale {
  const finite = values.filter(Number.isFinite)
  let [min, max] = [finite.reduce((a, b) => Math.min(a, b), Infinity), finite.reduce((a, b) => Math.max(a, b), -Infinity)]
  if (min > max) [min, max] = [0, 1]
  if (min === max) [min, max] = min === 0 ? [0, 1] : [min - 0.5, max + 0.5]
  return { min, max, position: (value) => from + ((value - min) / (max - min)) * (to - from) }
}

/** About `count` round values (1, 2 or 5 times a power of ten) within a scale. */
export function ticks({ min, max }: Pick<Scale, 'min' | 'max'>, count: number): number[] {
  const rough = (max - min) / Math.max(1, count)
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10) * power
  const first = Math.ceil(min / step - 1e-9)
  const last = Math.floor(max / step + 1e-9)
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)))
}

/** A number with four significant digits at most: `0.0123`, `12,300`, `1.2e-7`. */
export function shortNumber(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  const size = Math.abs(value)
  if (size !== 0 && (size < 1e-4 || size >= 1e9)) return value.toExponential(2)
  return Number(value.toPrecision(4)).toLocaleString('en', { maximumSignificantDigits: 4 })
}
