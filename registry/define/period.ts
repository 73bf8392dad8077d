import { formatDuration } from '../../kernel/values/duration.ts'

/** The periods at which a monitor may run: each divides a day, so that evaluations have fixed times. */
const crons: Readonly<Record<string, string>> = {
  '1m': '* * * * *',
  '2m': '*/2 * * * *',
  '5m': '*/5 * * * *',
  '10m': '*/10 * * * *',
  '15m': '*/15 * * * *',
  '30m': '*/30 * * * *',
  '1h': '0 * * * *',
  '2h': '0 */2 * * *',
  '3h': '0 */3 * * *',
  '6h': '0 */6 * * *',
  '12h': '0 */12 * * *',
  '1d': '0 0 * * *',
}

export const periods: readonly string[] = Object.keys(crons)

/** The schedule of a monitor, in UTC; null: no schedule has that period. */
export function cronOf(everyMicros: number): string | null {
  return crons[formatDuration(everyMicros)] ?? null
}
