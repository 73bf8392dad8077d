import type { DriftQuery } from '../../drift/drift-report.ts'
import { hourMicros, minuteMicros } from '../../../kernel/values/time.ts'
import { driftReport } from '../../drift/drift-report.ts'
import type { Window } from '../../window.ts'
import { reasonOf } from '../../alerts/checks/watched-versions.ts'
import { writtenUntil } from '../../rollups/read-parts.ts'
import type { Gate } from './gate.ts'
import { alphaOfLook, short } from './gate.ts'

/** Up to so many times the champion's distance counts as the same: it depends on the rows, and both have others. */
const usualFactor = 2

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
    /** The effect of the champion's feature of this name, if it differs from the champion's training set; else null. */
    readonly champion: number | null
    readonly causes: readonly string[]
  }[]
  /** Why nothing was compared; null: it was. */
  readonly reason: string | null
}

/**
 * Whether the candidate's features differ from its own training set, by the test and the distance of `lockstep drift`,
 * over the minutes since the step began. The level is spent over the looks, so looking again and again is fine.
 *
 * A feature that differs as much from the champion's training set is no fault of the candidate. Without this, every
 * step of a few hours would fail for a feature that follows the time of day.
 */
export const inputs: Gate<'inputs', InputsEvidence> = {
  kind: 'inputs',
  async gather({ db, catalog, rollout, champion, from, now }, { alpha, minPsi }, before) {
    // servers write whole minutes
    const window = { from: Math.ceil(from / minuteMicros) * minuteMicros, to: writtenUntil(now) }
    const minutes = Math.max(0, (window.to - window.from) / minuteMicros)
    if (minutes === before?.minutes) return before
    const none = { minutes, rows: 0, features: [] }
    if (minutes === 0) return { ...none, reason: 'No minute of the step is over and written yet.' }
    const compare = async (version: number, over: Window, level: number) => {
      const thresholds = { alpha: level, minPsi }
      const query: DriftQuery = { model: rollout.model, version, window: over, baseline: { kind: 'training' }, thresholds }
      return await driftReport({ db, catalog, freshness: async () => [] }, query).catch(reasonOf)
    }
    const report = await compare(rollout.version, window, 1)
    if (typeof report === 'string') return { ...none, reason: report }
    // at 100 % the champion answers nothing
    const startedAt = Math.floor((rollout.startedAt.getTime() * 1000) / minuteMicros) * minuteMicros
    const theirs = rollout.share < 1 ? window : { from: startedAt - hourMicros, to: window.from }
    const usual = report.drifted.length === 0 ? 'none' : await compare(champion, theirs, alpha)
    const effects = new Map(
      typeof usual === 'string' ? [] : usual.columns.map(({ column, drifted, effect }) => [column, drifted ? effect : null]),
    )
    const features = report.columns.flatMap(({ column, kind, adjustedP, effect, distances, causes }) =>
      kind !== 'feature' || adjustedP === null || effect === null
        ? []
        : [
            {
              feature: column,
              p: adjustedP,
              effect,
              psi: distances?.psi ?? null,
              champion: effects.get(column) ?? null,
              causes: causes.map(({ text }) => text),
            },
          ],
    )
    const reason = features.length === 0 ? 'Too few entities were served for a test.' : null
    return { minutes, rows: report.rows, features, reason }
  },
  judge({ alpha, minPsi, onBreach }, { minutes, rows, features, reason }) {
    if (reason !== null) return { verdict: 'not enough evidence', text: reason }
    const level = alphaOfLook(alpha, minutes)
    const differing = features.filter(({ p, effect }) => p <= level && effect >= minPsi)
    const drifted = differing.filter(({ effect, champion }) => effect > usualFactor * (champion ?? 0))
    const [worst] = drifted.toSorted((a, b) => b.effect - a.effect)
    if (worst === undefined) {
      const shared = differing.map(({ feature }) => `"${feature}"`).join(', ')
      const but =
        shared === '' ? '' : `, but for ${shared}, which ${differing.length === 1 ? 'differs' : 'differ'} as much from the champion's`
      return {
        verdict: 'advance',
        text: `The ${features.length} tested features of ${rows} rows are like the candidate's training set${but}.`,
      }
    }
    const why = worst.causes.length === 0 ? '' : ` ${worst.causes.join('; ')}.`
    return {
      verdict: onBreach,
      text: `${drifted.length} of ${features.length} features differ from the candidate's training set, most "${worst.feature}" (PSI ${short(worst.psi)}).${why}`,
    }
  },
}
