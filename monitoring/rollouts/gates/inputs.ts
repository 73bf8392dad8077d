import { driftReport } from '../../drift/drift-report.ts'
import { minuteMicros } from '../../rollups/coverage.ts'
import { reasonOf } from '../../alerts/checks/watched-versions.ts'
import { writtenUntil } from '../../rollups/read-parts.ts'
import type { Gate } from './gate.ts'
import { alphaOfLook, short } from './gate.ts'

interface InputsEvidence {
  /** How many minutes are looked at: each new one is a look. */
  readonly minutes: number
  readonly rows: number
  /** Features with a test. p is adjusted over features. */
  readonly features: readonly {
    readonly feature: string
    readonly p: number
    readonly effect: number
    readonly psi: number | null
    readonly causes: readonly string[]
  }[]
  /** Why nothing was compared; null: it was. */
  readonly reason: string | null
}

/**
 * Whether the candidate's features differ from its own training set, by the test and the distance of `lockstep drift`,
 * over the minutes since the step began. The level is spent over the looks, so looking again and again is fine.
 */
export const inputs: Gate<'inputs', InputsEvidence> = {
  kind: 'inputs',
  async gather({ db, catalog, rollout, from, now }, { minPsi }, before) {
    // servers write whole minutes
    const window = { from: Math.ceil(from / minuteMicros) * minuteMicros, to: writtenUntil(now) }
    const minutes = Math.max(0, (window.to - window.from) / minuteMicros)
    if (minutes === before?.minutes) return before
    const none = { minutes, rows: 0, features: [] }
    if (minutes === 0) return { ...none, reason: 'No minute of the step is over and written yet.' }
    const { model, version } = rollout
    const thresholds = { alpha: 1, minPsi }
    const query = { model, version, window, baseline: { kind: 'training' }, thresholds } as const
    const report = await driftReport({ db, catalog, freshness: async () => [] }, query).catch(reasonOf)
    if (typeof report === 'string') return { ...none, reason: report }
    const features = report.columns.flatMap(({ column, kind, adjustedP, effect, distances, causes }) =>
      kind !== 'feature' || adjustedP === null || effect === null
        ? []
        : [{ feature: column, p: adjustedP, effect, psi: distances?.psi ?? null, causes: causes.map(({ text }) => text) }],
    )
    const reason = features.length === 0 ? 'Too few entities were served for a test.' : null
    return { minutes, rows: report.rows, features, reason }
  },
  judge({ alpha, minPsi, onBreach }, { minutes, rows, features, reason }) {
    if (reason !== null) return { verdict: 'not enough evidence', text: reason }
    const level = alphaOfLook(alpha, minutes)
    const drifted = features.filter(({ p, effect }) => p <= level && effect >= minPsi)
    const [worst] = drifted.toSorted((a, b) => b.effect - a.effect)
    if (worst === undefined)
      return { verdict: 'advance', text: `The ${features.length} tested features of ${rows} rows are like the candidate's training set.` }
    const why = worst.causes.length === 0 ? '' : ` ${worst.causes.join('; ')}.`
    return {
      verdict: onBreach,
      text: `${drifted.length} of ${features.length} features differ from the candidate's training set, most "${worst.feature}" (PSI ${short(worst.psi)}).${why}`,
    }
  },
}
