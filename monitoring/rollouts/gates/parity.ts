import { durationText, parseDuration } from '../../../kernel/values/duration.ts'
import { checkParity } from '../../parity/check-parity.ts'
import type { Gate } from './gate.ts'
import { percent } from './gate.ts'

interface ParityEvidence {
  /** Rows that were logged before are checked, epoch microseconds. */
  readonly checkedTo: number
  /** Logged rows that were recomputed. */
  readonly vectors: number
  readonly values: number
  readonly differing: number
  /** By feature: how many of its values differ. */
  readonly features: Readonly<Record<string, number>>
}

/**
 * Whether features that were served with the candidate equal what the history says. By default not one may differ.
 * Values that are only late are the business of the gate `freshness`. Each look checks the rows that were logged since
 * the last one.
 */
export const parity: Gate<'parity', ParityEvidence> = {
  kind: 'parity',
  async gather({ db, catalog, rollout, from, now, signal }, { vectors, settle }, before) {
    const last = before ?? { checkedTo: from, vectors: 0, values: 0, differing: 0, features: {} }
    const until = now - parseDuration(settle)
    const left = vectors - last.vectors
    if (until <= last.checkedTo || left <= 0) return last
    const { model, version } = rollout
    const report = await checkParity(db, catalog, { model, version, since: last.checkedTo, until, limit: left, order: 'random', signal })
    let [values, differing] = [last.values, last.differing]
    const features = { ...last.features }
    for (const { feature, equal, stale, tie, ttl, late, other } of report.features) {
      const wrong = tie + ttl + late + other
      values += equal + stale + wrong
      differing += wrong
      if (wrong > 0) features[feature] = (features[feature] ?? 0) + wrong
    }
    return { checkedTo: until, vectors: last.vectors + report.vectors, values, differing, features }
  },
  judge({ budget, settle, onBreach }, { vectors, values, differing, features }) {
    if (values === 0)
      return {
        verdict: 'not enough evidence',
        text: `No logged row of the candidate could be recomputed yet. A row is once it is ${durationText(parseDuration(settle))} old. If none are logged, set LOCKSTEP_LOG_PREDICTIONS.`,
      }
    const [worst] = Object.entries(features).toSorted((a, b) => b[1] - a[1])
    const most = worst === undefined ? '' : ` Most often "${worst[0]}" differs. "lockstep parity" shows examples.`
    const text = `${differing} of ${values} feature values in ${vectors} rows of the candidate differ from the history; ${percent(budget)} are allowed.${most}`
    return {
      verdict: differing > budget * values ? onBreach : 'advance',
      text,
      meter: { unit: 'share', value: differing / values, bound: budget },
    }
  },
}
