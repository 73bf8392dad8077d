import { formatDistanceStrict } from 'date-fns/formatDistanceStrict'
import { formatNumber } from '../../kernel/values/format-number.ts'

/** `3,000,000` */
export function count(number: number): string {
  return Math.round(number).toLocaleString('en-US')
}

/** Three significant digits, or a whole number from 1,000 on: `0.0123`, `71.2`, `48,213`. */
export function digits(value: number): string {
  return Math.abs(value) >= 1000 ? count(value) : formatNumber(value)
}

/** The metrics of a version, with four significant digits: `auc 0.8312, logLoss 0.31`. */
export function metricsText(metrics: Readonly<Record<string, number>>): string {
  return Object.entries(metrics)
    .map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`)
    .join(', ')
}

const listedMetrics = 3

/** The first metrics of a version, as the dashboard lists them: `auc 0.8312, logLoss 0.31, f1 0.7 and 4 more`. */
export function firstMetrics(metrics: Readonly<Record<string, number>>): string {
  const all = Object.entries(metrics)
  const shown = metricsText(Object.fromEntries(all.slice(0, listedMetrics)))
  return all.length > listedMetrics ? `${shown} and ${all.length - listedMetrics} more` : shown
}

/** `0.42 to 0.47`; empty without limits. */
export function intervalText(low: number | null, high: number | null): string {
  return low === null || high === null ? '' : `${digits(low)} to ${digits(high)}`
}

/** `1 row`, `3,000,000 rows` */
export function counted(number: number, one: string, many = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`
}

/** `45 ms`, `3.2 s`, `2 min 5 s`, `3 h 20 min`, `4 d 2 h` */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  const [d, h, m, s] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60]
  const parts = [`${d} d`, `${h} h`, `${m} min`, `${s} s`]
  const first = [d, h, m, s].findIndex((amount) => amount > 0)
  return parts.slice(first, first + 2).join(' ')
}

/** `980 B`, `12.3 MB` */
export function bytes(size: number): string {
  let amount = size
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (amount < 999.5 || unit === 'GB') return `${unit === 'B' ? amount : amount.toFixed(1)} ${unit}`
    amount /= 1000
  }
  return `${size} B`
}

/** `2026-03-01 12:00:05` UTC, to the second. */
export function moment(date: Date): string {
  return date.toISOString().slice(0, 19).replace('T', ' ')
}

/** `5 minutes ago` */
export function ago(ms: number): string {
  return formatDistanceStrict(-ms, 0, { addSuffix: true })
}

/** The beginning of a UUID: enough to name a training set. */
export function shortId(id: string): string {
  return /^[\da-f]{8}-/.test(id) ? id.slice(0, 8) : id
}
