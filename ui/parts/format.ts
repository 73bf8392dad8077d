import type { Series } from '../../serving/dashboard/contract/answer.ts'

/** What a number measures. */
export type Unit = Series['unit']

const formats = new Map<string, Intl.NumberFormat>()

function format(options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const key = JSON.stringify(options)
  let found = formats.get(key)
  if (found === undefined) formats.set(key, (found = new Intl.NumberFormat('en', options)))
  return found
}

/** In a text, no line breaks between a number and its unit. Anything else stays as it is. */
export function keepUnits<Shown>(shown: Shown): Shown | string {
  if (typeof shown !== 'string') return shown
  return shown.replaceAll(/(\d) (?=(?:%|[num]?s|min|h|d|y|[kKMGT]?B|to 1)(?![\w/]))/g, '$1\u00a0')
}

/** A number as people read it, with its unit. A missing one is a dash. */
export function formatNumber(value: number | null | undefined, unit: Unit = 'value'): string {
  if (value === null || value === undefined || Number.isNaN(value)) return '–'
  switch (unit) {
    case 'count':
      return format(Math.abs(value) >= 100_000 ? { notation: 'compact', maximumFractionDigits: 1 } : { maximumFractionDigits: 0 }).format(
        value,
      )
    case 'perSecond':
      return `${format({ maximumSignificantDigits: 3, notation: value >= 100_000 ? 'compact' : 'standard' }).format(value)}/s`
    case 'ms':
      return value >= 1000 ? formatDuration(value / 1000) : `${format({ maximumSignificantDigits: 3 }).format(value)} ms`
    case 'share':
      return `${format({ maximumFractionDigits: Math.abs(value) < 0.1 ? 2 : 1 }).format(value * 100)} %`
    case 'seconds':
      return formatDuration(value)
    case 'bytes':
      return formatBytes(value)
    case 'odds':
      return `${formatOdds(value)} to 1`
    case 'value':
      return format(
        value !== 0 && (Math.abs(value) >= 1e7 || Math.abs(value) < 1e-3)
          ? { notation: 'scientific', maximumFractionDigits: 2 }
          : { maximumSignificantDigits: 4 },
      ).format(value)
    default:
      return unit satisfies never
  }
}

/** How many to 1, of its base-10 logarithm. */
export function formatOdds(log10: number): string {
  const odds = 10 ** log10
  return odds < 1e7 ? format({ maximumSignificantDigits: 4 }).format(odds) : format({ notation: 'scientific' }).format(odds)
}

/** The first eight digits of a UUID, as a person tells ids apart. A name is as it is. */
export function shortId(name: string): string {
  return /^([\da-f]{8})(?:-[\da-f]{4}){3}-[\da-f]{12}$/.exec(name)?.[1] ?? name
}

/** The text of a float that has many digits, with six of them. All other values stay as they are. */
export function shortFloat(text: string, type: string): string {
  if (!type.startsWith('float') || text.length <= 9 || !Number.isFinite(Number(text))) return text
  const [digits = '', exponent] = Number(text).toPrecision(6).split('e')
  const short = digits.includes('.') ? digits.replace(/\.?0+$/, '') : digits
  return exponent === undefined ? short : `${short}e${exponent}`
}

/** How far drift moves a prediction: an estimate, so two digits. */
export function formatHarm(harm: number | null): string {
  return harm === null ? '–' : format({ maximumSignificantDigits: 2 }).format(harm)
}

function formatBytes(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log(bytes) / Math.log(1000)))
  return `${format({ maximumSignificantDigits: 3 }).format(bytes / 1000 ** power)} ${units[power] ?? ''}`
}

/** Seconds as the two largest units: `3 h 12 min`. */
export function formatDuration(seconds: number): string {
  const size = Math.abs(seconds)
  const sign = seconds < 0 ? '-' : ''
  if (size === 0) return '0 s'
  if (size < 1) return `${sign}${format({ maximumSignificantDigits: 2 }).format(size * 1000)} ms`
  if (size < 60) return `${sign}${format({ maximumFractionDigits: size < 10 ? 1 : 0 }).format(size)} s`
  const units: readonly (readonly [number, string])[] = [
    [31_536_000, 'y'],
    [86_400, 'd'],
    [3600, 'h'],
    [60, 'min'],
    [1, 's'],
  ]
  const at = units.findIndex(([length]) => size >= length)
  const [length, name] = units[at] ?? [1, 's']
  const whole = Math.floor(size / length)
  const [nextLength, nextName] = units[at + 1] ?? [0, '']
  const rest = nextLength === 0 || whole >= 10 ? 0 : Math.floor((size - whole * length) / nextLength)
  return `${sign}${whole} ${name}${rest === 0 ? '' : ` ${rest} ${nextName}`}`
}

/** A moment in UTC: `2001-03-04 10:00:05`, without seconds where they are 0. */
export function formatMoment(moment: string | number): string {
  const date = new Date(moment)
  if (Number.isNaN(date.getTime())) return String(moment)
  const [day = '', time = ''] = date.toISOString().split('T')
  return `${day} ${time.slice(0, time.slice(6, 8) === '00' ? 5 : 8)}`
}

/** How long ago: `3 min ago`, `in 2 h`, `now`. Of a past moment that is shown: `3 min before`, `2 h after`, `then`. */
export function formatAge(moment: string | number, shownMs: number, isPast = false): string {
  const seconds = Math.round((shownMs - new Date(moment).getTime()) / 1000)
  if (Math.abs(seconds) < 2) return isPast ? 'then' : 'now'
  const text = formatDuration(Math.abs(seconds)).replace(/^(\d+ (?:y|d|h|min)).*$/, '$1')
  if (isPast) return seconds > 0 ? `${text} before` : `${text} after`
  return seconds > 0 ? `${text} ago` : `in ${text}`
}

/** What a pin does. */
export function pinText(pinned: number, isPast: boolean): string {
  return `version ${pinned}, which ${isPast ? 'answered' : 'answers'} all requests that name no version`
}
