import { readRollup } from '../../../monitoring/rollups/read-rollups.ts'
import type { Database } from '../../../runtime/postgres/database.ts'
import { floorTo, formatTimestamp, hourMicros } from '../../../kernel/values/time.ts'
import { spanText } from './traffic-charts.ts'

/**
 * Which models have predictions of the hours around a moment that no client asked for: a backfill logged them. Pages
 * show them in quality, drift and Explain, although nothing may have answered requests then.
 */
export async function backfilledNotes(db: Database, models: readonly string[], now: number): Promise<string[]> {
  const notes: string[] = []
  // backfills are summarized by hours
  const window = { from: floorTo(now - hourMicros, hourMicros), to: -floorTo(-now, hourMicros) }
  for (const model of models) {
    const { requests, from, to } = await readRollup(db, { model, roles: ['backfill'], ...window, trafficOnly: true })
    if (requests === 0) continue
    const span = spanText({ from: formatTimestamp(from), to: formatTimestamp(to) })
    notes.push(
      `A backfill logged ${requests.toLocaleString('en-US')} ${requests === 1 ? 'prediction' : 'predictions'} of ${model}${span}. Quality, drift and Explain show backfilled predictions. They do not count as requests, because no client asked for them.`,
    )
  }
  return notes
}
