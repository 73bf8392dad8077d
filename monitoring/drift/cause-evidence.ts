import type { Window } from '../window.ts'
import { formatNumber } from '../../kernel/values/format-number.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { DatasetManifest } from '../../offline/datasets/dataset-manifest.ts'
import type { ModelVersion } from '../../registry/models/model-versions.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { ViewFreshness } from '../freshness/view-freshness.ts'
import { clientAndBackfillRoles } from '../role.ts'
import type { ModelRollup } from '../rollups/model-rollup.ts'
import { readRollup } from '../rollups/read-rollups.ts'
import type { CauseEvidence } from './drift-causes.ts'
import { movedEntityMix } from './entity-mix.ts'
import { movedRequestFields } from './request-fields.ts'

export interface EvidenceContext {
  readonly db: Database
  /** The freshness of views now; absent or empty: not known. */
  readonly freshness?: (views: ReadonlySet<string>) => Promise<readonly Pick<ViewFreshness, 'view' | 'late'>[]>
}

/** Gathers the facts that may explain a drift. @param dataset the training set behind the baseline; null: none */
export async function gatherCauseEvidence(
  { db, freshness }: EvidenceContext,
  { model, version }: ModelVersion,
  service: ServicePlan,
  window: Window,
  dataset: string | null,
): Promise<Omit<CauseEvidence, 'view' | 'driftedFeatures'>> {
  const views = new Map(service.uses.map(({ plan }) => [plan.id as string, plan.fingerprint]))
  const fresh = (await freshness?.(new Set(views.keys()))) ?? []
  const length = window.to - window.from
  // of all versions, because a rollout changes how many rows, and of which entities, one version gets
  const answered = (of: Window) => readRollup(db, { model, roles: clientAndBackfillRoles, ...of })
  const before = await answered({ from: window.from - length, to: window.from })
  return {
    late: new Map(fresh.flatMap(({ view, late }) => (late === null ? [] : [[view, late] as const]))),
    changedViews: dataset === null ? new Set() : await changedViews(db, dataset, views),
    volume: volumeOf(before, await answered(window)),
    requestFields: await movedRequestFields(db, { model, version, request: service.request }, window),
    entityMix: await movedEntityMix(db, { model, key: service.uses[0]?.key ?? [] }, window),
  }
}

function volumeOf(before: ModelRollup, now: ModelRollup): CauseEvidence['volume'] {
  // rows by measured minute, so that a server that started meanwhile does not look like more traffic
  const rate = ({ rows, coverage }: ModelRollup) => (coverage.minutes === 0 ? 0 : rows / coverage.minutes)
  const [former, current] = [rate(before), rate(now)]
  if (former === 0) return null
  const ratio = current / former
  const text = `rows a minute went from ${formatNumber(former)} in the time before to ${formatNumber(current)} (×${formatNumber(ratio)})`
  return { ratio, text }
}

async function changedViews(db: Database, dataset: string, served: ReadonlyMap<string, string>): Promise<Set<string>> {
  const row = await db.kysely.selectFrom('lockstep.datasets').select('manifest').where('id', '=', dataset).executeTakeFirst()
  // only createDataset writes these
  const trained = new Map(((row?.manifest as DatasetManifest | undefined)?.views ?? []).map(({ id, fingerprint }) => [id, fingerprint]))
  return new Set([...served].flatMap(([view, fingerprint]) => (trained.get(view) === fingerprint ? [] : [view])))
}
