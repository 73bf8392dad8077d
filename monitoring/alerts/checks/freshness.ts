import { measuredText, parseDuration } from '../../../kernel/values/duration.ts'
import type { ViewPlan } from '../../../kernel/view-plan.ts'
import type { DefinitionId } from '../../../kernel/specs/view-spec.ts'
import type { Catalog } from '../../../registry/catalog.ts'
import type { CheckOf } from '../../../registry/define/check-options.ts'
import type { MonitorSpec } from '../../../registry/monitor-spec.ts'
import { readViews } from '../../freshness/freshness-reader.ts'
import type { ViewFreshness } from '../../freshness/view-freshness.ts'
import type { CheckKind, CheckResult } from '../check-kind.ts'

type Spec = CheckOf<'freshness'>

/**
 * Whether online views keep up with their sources, each against its declared freshness and schedule, or against
 * `maxLag`; and whether their sources still get events, where `maxAge` says so.
 */
export const freshness: CheckKind<Spec> = async ({ db, store, catalog, monitor, window }, spec) => {
  const views = await readViews(db, store, watchedViews(catalog, monitor), window.to)
  return views.map((view) => resultOf(view, spec))
}

/** The online views of the monitor's model, or its view. */
function watchedViews(catalog: Catalog, { target }: MonitorSpec): ViewPlan[] {
  const ids = new Set<DefinitionId>()
  if (target.kind === 'view') ids.add(target.view)
  if (target.kind === 'model') {
    const service = catalog.models.get(target.model)?.spec.service
    for (const { plan } of (service === undefined ? undefined : catalog.services.get(service))?.uses ?? []) ids.add(plan.id)
  }
  return [...ids].filter((id) => catalog.online.has(id)).flatMap((id) => catalog.views.get(id) ?? [])
}

function resultOf(view: ViewFreshness, { maxLag, maxAge }: Spec): CheckResult {
  const maxLagMicros = maxLag === undefined ? view.freshnessMicros : parseDuration(maxLag)
  const evidence = {
    lagSeconds: view.lag?.seconds ?? null,
    lagRows: view.lag?.rows ?? null,
    lastRunSeconds: view.lastRunSeconds,
    newestRowSeconds: view.newestRowSeconds,
    failing: view.failing === null ? null : { runs: view.failing.runs },
    setAsideEntities: view.setAside.entities,
  }
  const base = { subject: view.view, n: null, evidence }
  const aged =
    maxAge === undefined || view.newestRowSeconds === null ? null : { age: view.newestRowSeconds, most: parseDuration(maxAge) / 1e6 }
  if (aged !== null && aged.age > aged.most) {
    const cause = `The newest event of the source of "${view.view}" is ${measuredText(aged.age)} old; ${maxAge} is allowed. The source has stopped or is late: check what writes to it.`
    return { ...base, state: 'breach', value: aged.age, threshold: aged.most, cause }
  }
  const threshold = maxLagMicros === null ? null : maxLagMicros / 1e6
  const lag = view.lag?.seconds ?? null
  // a late run, and a store that does not answer or lacks the view, are in the view's own words
  if (view.late !== null && (maxLag === undefined || lag === null))
    return { ...base, state: 'breach', value: lag, threshold, cause: withFailure(view, view.late) }
  if (threshold === null && !view.scheduled && aged === null)
    return {
      ...base,
      state: 'unknown',
      value: lag,
      threshold,
      cause: `The view "${view.view}" declares no freshness; write freshness: '10m' in it, or maxLag in the check.`,
    }
  if (threshold !== null && lag === null && view.lastRunSeconds === null)
    return { ...base, state: 'unknown', value: null, threshold, cause: `It is unknown how far "${view.view}" is behind its source.` }
  if (threshold !== null && lag !== null && lag > threshold) {
    const late = `Rows of "${view.view}" have waited for up to ${measuredText(lag)}; ${measuredText(threshold)} is allowed. Check that a "lockstep worker" runs.`
    return { ...base, state: 'breach', value: lag, threshold, cause: withFailure(view, late) }
  }
  return { ...base, state: 'ok', value: lag, threshold, cause: null }
}

function withFailure({ failing }: ViewFreshness, late: string): string {
  return failing === null ? late : `${late} Its last ${failing.runs} runs failed.`
}
