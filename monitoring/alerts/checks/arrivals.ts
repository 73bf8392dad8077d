import { measuredText, parseDuration } from '../../../kernel/values/duration.ts'
import type { CheckOf } from '../../../registry/define/check-options.ts'
import { sourceLag } from '../../freshness/source-lag.ts'
import type { CheckKind, CheckResult } from '../check-kind.ts'
import { followSilence, silencesOf } from './silence.ts'

type Spec = CheckOf<'arrivals'>

/**
 * Whether the sources of online views still get events: each against the longest time without any in the last week,
 * which the check remembers.
 */
export const arrivals: CheckKind<Spec> = async ({ db, catalog, memoryOf, window }, { factor, min }) => {
  const plans = [...catalog.watched].flatMap((id) => catalog.views.get(id) ?? [])
  const bySource = new Map(plans.map((plan) => [plan.spec.source.name, plan]))
  const results: CheckResult[] = []
  for (const [source, plan] of bySource) {
    const lag = await sourceLag({ db, store: null, now: window.to }, { plan, frontier: null })
    const limits = { factor, minMicros: parseDuration(min) }
    const { silences, usual, threshold } = followSilence(silencesOf(memoryOf(source)), lag?.newestEvent ?? null, window.to, limits)
    const base = {
      subject: source,
      value: silences.newest === null ? null : silences.silent / 1e6,
      threshold: threshold === null ? null : threshold / 1e6,
      n: null,
      evidence: { silentSeconds: silences.silent / 1e6, longestSeconds: usual === null ? null : usual / 1e6 },
      memory: { ...silences },
    }
    if (threshold === null || usual === null) {
      const cause = `It is not known yet how often the source "${source}" gets events: that needs a day, and a week if it is silent for an hour or longer.`
      results.push({ ...base, state: 'unknown', cause })
    } else if (silences.silent > threshold) {
      const cause = `The source "${source}" has had no new event for ${measuredText(silences.silent / 1e6)}; in the last week it had one at least every ${measuredText(usual / 1e6)}. What writes to it has stopped or is late.`
      results.push({ ...base, state: 'breach', cause })
    } else results.push({ ...base, state: 'ok', cause: null })
  }
  return results
}
