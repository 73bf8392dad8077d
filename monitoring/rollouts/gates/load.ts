import { noModel } from '../../rollups/rollup-writer.ts'
import { minuteMicros } from '../../../kernel/values/time.ts'
import { readMinutes } from '../../rollups/minute-rollups.ts'
import { decodeNamed } from '../../rollups/named-rollup.ts'
import { readRollup } from '../../rollups/read-rollups.ts'
import { TrafficSummary } from '../../rollups/traffic-summary.ts'
import type { Gate } from './gate.ts'
import { percent, short } from './gate.ts'

interface LoadEvidence {
  /** Whole minutes since the step began. The counts are of the last ones. */
  readonly minutes: number
  /** Requests for all models, answered and failed. */
  readonly requests: number
  /** Requests that servers refused because they were busy, of all models. */
  readonly refused: number
  /** Cores that a server process uses, on average over processes and minutes; null: none was measured. */
  readonly cores: number | null
}

/** So many minutes are looked at: servers that keep up again must not hold the rollout for what they refused before. */
const lastMinutes = 10

/** Whether servers keep up: how many requests they refuse because they are busy, and how busy they are. */
export const load: Gate<'load', LoadEvidence> = {
  kind: 'load',
  async gather({ db, catalog, from, now }, _spec, before) {
    const to = Math.floor(now / minuteMicros) * minuteMicros
    const minutes = Math.max(0, to / minuteMicros - Math.ceil(from / minuteMicros))
    const window = { from: to - Math.min(minutes, lastMinutes) * minuteMicros, to }
    if (minutes === 0) return { minutes, requests: 0, refused: 0, cores: null }
    if (before?.minutes === minutes) return before
    let [requests, refused, micros, rows] = [0, 0, 0, 0]
    for (const model of catalog.models.keys()) {
      const rollup = await readRollup(db, { model, ...window, trafficOnly: true })
      requests += rollup.requests
      // of the processes, so the same for each model
      refused = rollup.processErrors.get('OVERLOADED') ?? 0
    }
    for await (const batch of readMinutes(db, window.from, window.to, [noModel.model], { columns: 'none' })) {
      for (const row of batch) {
        const summary = decodeNamed(row, ({ traffic }) => TrafficSummary.decode(traffic))
        if (summary === null) continue
        micros += summary.cpuMicros
        rows++
      }
    }
    return { minutes, requests, refused, cores: rows === 0 ? null : micros / (rows * minuteMicros) }
  },
  judge({ maxRefused, maxCores, onBreach }, { minutes, requests, refused, cores }) {
    if (minutes === 0 || cores === null) return { verdict: 'not enough evidence', text: 'No minute of the step is over and written yet.' }
    const share = refused / Math.max(1, requests + refused)
    const period = minutes === 1 ? 'of one minute' : `of ${Math.min(minutes, lastMinutes)} minutes`
    const text = `Servers refused ${percent(share)} of the requests ${period} because they were busy (${percent(maxRefused)} are allowed), and a process used ${short(cores)} cores${maxCores === undefined ? '' : ` (${maxCores} are allowed)`}.`
    return {
      verdict: share > maxRefused || (maxCores !== undefined && cores > maxCores) ? onBreach : 'advance',
      text,
      meter: { unit: 'share', value: share, bound: maxRefused },
    }
  },
}
