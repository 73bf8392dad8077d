import type { DefinitionId } from '../../../kernel/specs/view-spec.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import type { CheckOf } from '../../../registry/define/check-options.ts'
import { watchedName } from '../../../registry/monitor-spec.ts'
import type { FeatureParity, ParityReport } from '../../parity/check-parity.ts'
import { checkParity } from '../../parity/check-parity.ts'
import { countValues, differences, verdicts } from '../../parity/classify.ts'
import type { CheckKind } from '../check-kind.ts'

type Spec = CheckOf<'parity'>

/** What each verdict says about the cause. */
const causes = {
  tie: 'rows with the same times were taken in another order',
  ttl: 'a value had exceeded its maximum age on one side only',
  stale: 'the online store lacked rows for longer than the view allows: it is behind its source',
  late: 'rows arrived late that claim an earlier time',
  other: 'no known cause: the states or the code differ from the history',
} as const

/** Rows that were logged so recently wait, until rows that are late have arrived. */
const settleMicros = 300_000_000

/**
 * Recomputes logged features from the history. Its budget is the share of values that may differ, by default none.
 * Stale values of views that the check of freshness watches are not counted: that they are late is its alert. Nor are
 * values that an on-demand view has computed from them. Values whose rows may have been erased since cannot be
 * compared.
 */
export const parity: CheckKind<Spec> = async ({ db, catalog, monitor, window, signal }, { budget, vectors }) => {
  const subject = watchedName(monitor)
  const report = await checkParity(db, catalog, {
    model: subject,
    since: window.from - settleMicros,
    until: window.to - settleMicros,
    limit: vectors,
    order: 'random',
    signal,
  })
  const counts = Object.fromEntries(
    verdicts.map((verdict) => [verdict, report.features.reduce((sum, feature) => sum + feature[verdict], 0)]),
  )
  const values = report.features.map(countValues)
  const total = values.reduce((sum, { compared }) => sum + compared, 0)
  const late = report.features.reduce((sum, feature) => sum + (isLeftToFreshness(catalog, feature, report.features) ? feature.stale : 0), 0)
  const differing = values.reduce((sum, value) => sum + value.differing, 0) - late
  const base = { subject, threshold: budget, n: total }
  const features = report.features.flatMap(({ service, feature }, f) => {
    const { compared = 0, differing: wrong = 0 } = values[f] ?? {}
    return wrong === 0 ? [] : [{ service, feature, differing: wrong, of: compared }]
  })
  // without keys and values, which are data of an entity
  const examples = report.examples.map(({ verdict, service, feature, requestId, entity }) => ({
    verdict,
    service,
    feature,
    requestId,
    entity,
  }))
  const evidence = { vectors: report.vectors, skipped: { ...report.skipped }, counts, features, examples: examples.slice(0, 20) }
  if (total === 0) {
    return [{ ...base, state: 'unknown', value: null, evidence, cause: whyNoneCompared(report, subject) }]
  }
  const value = differing / total
  if (value <= budget) return [{ ...base, state: 'ok', value, evidence, cause: null }]
  const countOf = (verdict: (typeof differences)[number]) => (counts[verdict] ?? 0) - (verdict === 'stale' ? late : 0)
  const [worst] = differences.toSorted((a, b) => countOf(b) - countOf(a))
  const why = worst === undefined ? '' : ` Most often, ${causes[worst]}.`
  const cause = `${differing} of ${total} served feature values of "${subject}" differ from the history.${why} "lockstep parity" shows examples.`
  return [{ ...base, state: 'breach', value, evidence, cause }]
}

function whyNoneCompared({ features, skipped }: ParityReport, subject: string): string {
  const erased = features.reduce((sum, feature) => sum + feature.erased, 0)
  if (erased > 0) return `None of the ${erased} logged values of "${subject}" can be compared: rows of their sources were erased since.`
  const vectors = Object.values(skipped).reduce((sum, count) => sum + count, 0)
  if (vectors > 0) return `None of the ${vectors} logged vectors of "${subject}" could be recomputed.`
  return `No prediction of "${subject}" was logged in the window, which ends some minutes ago. If none are logged at all, set LOCKSTEP_LOG_PREDICTIONS.`
}

/**
 * Whether stale values of the feature are left to the check of freshness. Those of an on-demand view are, if its
 * service has a watched view and each other view of the service has features here, none of which is stale.
 */
function isLeftToFreshness({ views, services }: Catalog, { service, view }: FeatureParity, features: readonly FeatureParity[]): boolean {
  const hasMaxLag = (id: DefinitionId): boolean => {
    const plan = views.get(id)
    return plan !== undefined && (plan.upkeep.freshnessMicros !== null || plan.spec.availability.kind === 'schedule')
  }
  if (views.has(view)) return hasMaxLag(view)
  const read = (services.get(service)?.uses ?? []).map(({ plan }) => plan.id)
  const unwatched = read.filter((id) => !hasMaxLag(id))
  return (
    unwatched.length < read.length &&
    unwatched.every((id) => {
      const own = features.filter((each) => each.service === service && each.view === id)
      return own.length > 0 && own.every(({ stale }) => stale === 0)
    })
  )
}
