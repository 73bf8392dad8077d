import { LockstepError } from '../../kernel/errors.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { ModelVersion } from '../../registry/models/model-versions.ts'
import { judgingOutcomes } from '../../registry/judging-outcomes.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Window } from '../window.ts'
import { activeMonitors } from '../alerts/default-monitors.ts'
import { alertJson, maxListedAlerts, readAlerts } from '../alerts/read-alerts.ts'
import type { FeatureEffects } from '../baselines/feature-effects.ts'
import { driftJson, type DriftJson } from '../drift/drift-json.ts'
import { driftReport } from '../drift/drift-report.ts'
import type { DriftBaseline } from '../drift/drift-types.ts'
import { servedFreshness } from '../drift/served-freshness.ts'
import { answeringVersion, pickVersion } from '../../registry/models/pick-version.ts'
import { readServedAges, type ServedAge } from '../freshness/served-ages.ts'
import { freshnessJson } from '../freshness/view-freshness.ts'
import type { JudgeLimits } from '../quality/judge-predictions.ts'
import { type QualityReport, qualityReport } from '../quality/quality-report.ts'
import { type TrafficReport, trafficReport } from './traffic-report.ts'

export interface ReportQuery {
  readonly model: string
  /** Epoch microseconds, [from, to). */
  readonly from: number
  readonly to: number
  readonly baseline: DriftBaseline
  /** The limits of the figures of quality. */
  readonly limits?: JudgeLimits
  readonly signal?: AbortSignal | undefined
  /** Called as each part begins. */
  onPart?(part: string): void
}

export interface ReportContext {
  readonly db: Database
  readonly catalog: Catalog
  /** @throws LockstepError where it is unavailable */
  store(): Promise<OnlineStore>
  /** How far features move the prediction in the window. Absent: as stored with the baseline, and no model runs. */
  effects?(version: ModelVersion, window: Window): Promise<FeatureEffects | null>
}

/** All that is known about how a model fared in a window. Moments are RFC 3339. */
export interface ModelReport {
  readonly model: string
  /** The version that serves by default; null: none. */
  readonly champion: number | null
  readonly from: string
  readonly to: string
  readonly traffic: TrafficReport
  readonly drift: Part<DriftJson>
  /** By outcome: of the window and its versions, and by day. */
  readonly quality: Part<readonly OutcomeQuality[]>
  /** Its online views now, and their age in answers of the window; empty while the online store is unavailable. */
  readonly freshness: readonly (ReturnType<typeof freshnessJson> & { readonly view: string; readonly served: ServedAge | null })[]
  /** Alerts of the model and its views that fired in the window. */
  readonly alerts: readonly ReturnType<typeof alertJson>[]
}

export interface OutcomeQuality {
  readonly byVersion: QualityReport
  readonly byDay: QualityReport
  /** The quality in the groups of each slice that the model declares. */
  readonly bySlice: Readonly<Record<string, QualityReport>>
}

/** A part of the report, or why there is none. */
export type Part<T> = { readonly value: T; readonly reason: null } | { readonly value: null; readonly reason: string }

/** @throws LockstepError `UNKNOWN_DEFINITION` */
export async function modelReport(context: ReportContext, query: ReportQuery): Promise<ModelReport> {
  const { db, catalog } = context
  const { model: name, from, to, signal } = query
  const model = catalog.model(name)
  const begin = (part: string): void => {
    signal?.throwIfAborted()
    query.onPart?.(part)
  }
  begin('traffic')
  const traffic = await trafficReport(db, query)
  begin('drift')
  const drift = await orReason(() => drifts(context, query))
  begin('quality')
  const quality = await orReason(() => qualities(db, catalog, query))
  begin('freshness and alerts')
  const reads = new Set(catalog.service(model.spec.service).uses.map(({ plan }) => plan.id))
  const views = await freshnessOf(context, reads, to)
  const { byView: ages } = await readServedAges(db, query)
  const alerts = await alertsOf(db, catalog, query, reads)
  return {
    model: name,
    champion: answeringVersion(model),
    from: formatTimestamp(from),
    to: formatTimestamp(to),
    traffic,
    drift,
    quality,
    freshness: views.map((view) => ({ view: view.view, ...freshnessJson(view), served: ages.get(view.view) ?? null })),
    alerts,
  }
}

async function drifts(context: ReportContext, { model, from, to, baseline }: ReportQuery): Promise<DriftJson> {
  const { db, catalog } = context
  const window = { from, to }
  const pushed = pickVersion(catalog.model(model), undefined)
  const effects = (await context.effects?.(pushed, window)) ?? null
  const freshness = (views: ReadonlySet<string>) => freshnessOf(context, views, to)
  return driftJson(await driftReport({ db, catalog, freshness }, { model, version: pushed.version, window, baseline, effects }))
}

function freshnessOf({ db, catalog, store }: ReportContext, views: ReadonlySet<string>, now: number) {
  return servedFreshness({ db, catalog, store, now }, views)
}

async function alertsOf(db: Database, catalog: Catalog, { model, from, to }: ReportQuery, views: ReadonlySet<string>) {
  const own = activeMonitors(catalog, true).monitors.flatMap(({ name, target }) =>
    (target.kind === 'model' && target.model === model) || (target.kind === 'view' && views.has(target.view)) ? [name] : [],
  )
  return (await readAlerts(db, { monitors: own, window: { from, to }, limit: maxListedAlerts })).map(alertJson)
}

async function qualities(db: Database, catalog: Catalog, query: ReportQuery): Promise<OutcomeQuality[]> {
  const outcomes = judgingOutcomes(catalog, query.model)
  if (outcomes.length === 0) {
    const example = "outcome('label', { model, value: t.bool, within: '1d' })"
    throw new LockstepError(
      'INVALID_REQUEST',
      `The model "${query.model}" has no outcome that judges an output. Declare one, as in ${example}.`,
    )
  }
  const slices = Object.keys(catalog.model(query.model).operational.slices ?? {})
  const reports: OutcomeQuality[] = []
  for (const { spec } of outcomes) {
    const options = { ...query, outcome: spec.name, asOf: query.to }
    const bySlice: Record<string, QualityReport> = {}
    for (const slice of slices) bySlice[slice] = await qualityReport(db, catalog, { ...options, by: [slice] })
    reports.push({
      byVersion: await qualityReport(db, catalog, { ...options, by: ['version'] }),
      byDay: await qualityReport(db, catalog, { ...options, by: ['day'] }),
      bySlice,
    })
  }
  return reports
}

/** An error that the user can act on becomes the reason; any other is thrown. */
async function orReason<T>(read: () => Promise<T>): Promise<Part<T>> {
  try {
    return { value: await read(), reason: null }
  } catch (error) {
    if (error instanceof LockstepError && error.code !== 'INTERNAL') return { value: null, reason: error.message }
    throw error
  }
}
