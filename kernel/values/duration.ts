import { LockstepError } from '../errors.ts'
import { show } from './value-type.ts'

const units: Readonly<Record<string, number>> = {
  us: 1,
  ms: 1_000,
  s: 1_000_000,
  m: 60_000_000,
  h: 3_600_000_000,
  d: 86_400_000_000,
  w: 604_800_000_000,
}

/**
 * Reads `'90s'`, `'6h'`, `'1h30m'`, `'12d'` into microseconds. Units: us, ms, s, m, h, d (24 h exactly), w.
 *
 * @throws LockstepError `INVALID_DURATION` naming the text and `what` it was for
 */
export function parseDuration(text: string, what = 'The duration'): number {
  let total = 0
  if (typeof text === 'string' && /^(\d+(us|ms|s|m|h|d|w))+$/.test(text)) {
    for (const [, amount, unit] of text.matchAll(/(\d+)(us|ms|s|m|h|d|w)/g)) total += Number(amount) * (units[unit ?? ''] ?? Number.NaN)
  }
  if (!Number.isSafeInteger(total) || total <= 0) {
    throw new LockstepError(
      'INVALID_DURATION',
      `${what} ${show(text)} is not a duration; write whole numbers with units us, ms, s, m, h, d or w, such as "90s", "6h" or "1h30m".`,
    )
  }
  return total
}

/** Whether a text is a duration longer than 0. */
export function isDuration(text: string): boolean {
  try {
    return parseDuration(text) > 0
  } catch {
    return false
  }
}

/** The shortest way to write a duration that reads back to the same microseconds. */
export function formatDuration(micros: number): string {
  let rest = micros
  let text = ''
  for (const unit of ['d', 'h', 'm', 's', 'ms', 'us']) {
    const size = units[unit] ?? 1
    const amount = Math.floor(rest / size)
    if (amount > 0) text += `${amount}${unit}`
    rest -= amount * size
  }
  return text === '' ? '0s' : text
}

/** A duration in a sentence: `1 d 12 h`. What is measured is rounded before, as it has all of its units. */
export function durationText(micros: number): string {
  const words: Readonly<Record<string, string>> = { m: 'min', us: 'µs' }
  return formatDuration(micros)
    .replaceAll(/(\d+)([a-z]+)/g, (_, amount: string, unit: string) => `${amount} ${words[unit] ?? unit} `)
    .trim()
}

/** How long something took or takes, in a sentence, to whole seconds and two units at most: `2 h 49 min`. */
export function measuredText(seconds: number): string {
  return durationText(Math.max(1, Math.round(seconds)) * 1_000_000)
    .split(' ')
    .slice(0, 4)
    .join(' ')
}
