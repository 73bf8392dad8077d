import { proportionDifference, proportionRise } from '../../../statistics/proportion-difference.ts'
import { baselineOf } from '../../baselines/baseline.ts'
import { readLoggedSides } from '../logged-sides.ts'
import type { Gate } from './gate.ts'
import { compareAnswer, isDue, percent } from './gate.ts'

interface Missing {
  readonly missing: number
  readonly entities: number
}

interface FeaturesEvidence {
  /** When the log was read, epoch microseconds. */
  readonly at: number
  readonly entities: { readonly candidate: number; readonly champion: number }
  /**
   * By feature of the candidate. `against`: of the champion, or of the candidate's training set if that lacks the
   * feature.
   */
  readonly features: Readonly<
    Record<string, { readonly candidate: Missing; readonly against: Missing; readonly of: 'champion' | 'training' }>
  >
}

/**
 * Whether features of the candidate lack values more often than with the champion. Each entity counts once, so rows of
 * one entity do not count as several. One-sided, exact and valid at every look; Bonferroni over features.
 */
export const features: Gate<'features', FeaturesEvidence> = {
  kind: 'features',
  async gather(context, _spec, before) {
    if (before !== null && !isDue(before.at, context)) return before
    const { db, model, rollout, champion, catalog, now } = context
    const { candidate, champion: other } = (await readLoggedSides(context)).missing
    const namesOf = (version: number): string[] => {
      const service = model.versions.find((each) => each.version === version)?.service
      return (service === undefined ? undefined : catalog.services.get(service))?.features.map(({ name }) => name) ?? []
    }
    const theirs = new Set(namesOf(champion))
    const own = namesOf(rollout.version)
    const baseline = own.every((name) => theirs.has(name)) ? null : await baselineOf(db, model.name, rollout.version)
    const compared = new Map<string, FeaturesEvidence['features'][string]>()
    for (const name of own) {
      const found = { missing: candidate.missing.get(name) ?? 0, entities: candidate.entities }
      const statuses = baseline?.columns.get(name)?.statuses
      if (theirs.has(name)) {
        compared.set(name, {
          candidate: found,
          against: { missing: other.missing.get(name) ?? 0, entities: other.entities },
          of: 'champion',
        })
      } else if (statuses !== undefined) {
        const rows = Object.values(statuses).reduce((sum, count) => sum + count, 0)
        compared.set(name, { candidate: found, against: { missing: rows - (statuses['PRESENT'] ?? 0), entities: rows }, of: 'training' })
      }
    }
    return { at: now, entities: { candidate: candidate.entities, champion: other.entities }, features: Object.fromEntries(compared) }
  },
  judge(spec, { entities, features: found }) {
    const names = Object.keys(found)
    const { margin, samples } = spec
    const alpha = spec.alpha / Math.max(1, names.length)
    if (entities.candidate === 0)
      return { verdict: 'not enough evidence', text: 'No row of the candidate was logged. LOCKSTEP_LOG_PREDICTIONS logs a share of them.' }
    const worst = worstOf(found, alpha, margin)
    const isProven =
      !spec.prove ||
      Object.values(found).every(
        ({ candidate, against }) => proportionDifference(draws(against), draws(candidate), { alpha: 2 * alpha }).high <= margin,
      )
    if (worst === null) return { verdict: 'advance', text: 'The candidate has no features that can be compared.' }
    const { candidate, against, of } = found[worst.name] as (typeof found)[string]
    const shares = `${percent(candidate.missing / candidate.entities)} of ${candidate.entities} entities with the candidate, ${percent(against.missing / Math.max(1, against.entities))} of ${against.entities} ${of === 'champion' ? 'with the champion' : 'in its training set'}`
    const text = `The feature "${worst.name}" has no value for ${shares}; ${percent(margin)} more are allowed.`
    const hasSamples = candidate.entities >= samples && against.entities >= samples
    return compareAnswer({ ...spec, alpha }, { p: worst.p, seemsWorse: worst.value > margin, isProven, hasSamples }, text)
  },
  difference({ alpha: all, margin }, { features: found }) {
    const alpha = all / Math.max(1, Object.keys(found).length)
    const { candidate, against } = found[worstOf(found, alpha, margin)?.name ?? ''] ?? {}
    if (candidate === undefined || against === undefined || candidate.entities === 0 || against.entities === 0) return null
    const { value, low, high } = proportionDifference(draws(against), draws(candidate), { alpha: 2 * alpha })
    return { unit: 'share', value, low, high, allowed: margin }
  },
}

/** The feature with the most evidence against it. */
function worstOf(
  found: FeaturesEvidence['features'],
  alpha: number,
  margin: number,
): { readonly name: string; readonly value: number; readonly p: number } | null {
  let worst: ReturnType<typeof worstOf> = null
  for (const [name, { candidate, against }] of Object.entries(found)) {
    const { value, p } = proportionRise(draws(against), draws(candidate), { alpha, nullValue: margin })
    if (worst === null || p < worst.p || (p === worst.p && value > worst.value)) worst = { name, value, p }
  }
  return worst
}

function draws({ missing, entities }: Missing): { readonly successes: number; readonly n: number } {
  return { successes: missing, n: entities }
}
