import { capitalized } from '../../../kernel/values/capitalized.ts'
import { answeringVersion } from '../../../registry/models/pick-version.ts'
import { driftedSince, newestFigures } from '../../../monitoring/figures/stored-figures.ts'
import { causesText, movedShares } from '../../../monitoring/drift/drift-causes.ts'
import type { DriftJson } from '../../../monitoring/drift/drift-json.ts'
import type { FeatureData } from '../contract/feature.ts'
import type { QualityData } from '../contract/model.ts'
import type { Ask } from '../read-model.ts'
import { modelAt } from './model-at.ts'
import { rounded, spanText } from './traffic-charts.ts'

/** The stored drift of the version that answers; null: there is none. */
export async function storedDrift(ask: Ask, name: string): Promise<DriftJson | null> {
  const model = await modelAt(ask, name)
  const all = await newestFigures(ask.db, name, 'drift', ask.now)
  const version = answeringVersion(model)
  // rows that were backfilled have figures of times before the first version was pushed
  return (version === null ? all[0] : all.find((each) => each.version === version))?.report ?? null
}

/** How features and outputs of the version that answers drifted, the most harmful first. */
export async function driftLines(ask: Ask, name: string): Promise<Pick<QualityData, 'drift' | 'driftRule'>> {
  const report = await storedDrift(ask, name)
  if (report === null) return { drift: [], driftRule: null }
  const service = ask.deps.catalog().services.get((await modelAt(ask, name)).spec.service)
  const since = await sinceOf(ask, report)
  const drift = report.columns.map((column) => {
    const feature = service?.features.find((each) => each.name === column.column)
    return {
      feature: column.column,
      view: feature?.view ?? null,
      drifted: column.drifted,
      since: since.get(column.column) ?? null,
      distance: column.distances?.psi ?? null,
      byChance: chanceOf(column),
      harm: column.harm,
      says: movedText(column, report),
    }
  })
  return { drift: drift.toSorted((a, b) => (b.harm ?? -1) - (a.harm ?? -1)), driftRule: ruleText(report) }
}

/** Since when each column that drifted has done so, in words. */
export async function sinceOf({ db, now }: Pick<Ask, 'db' | 'now'>, { model, version }: DriftJson): Promise<ReadonlyMap<string, string>> {
  const since = await driftedSince(db, model, version, now)
  return new Map(
    Array.from(since, ([column, { at, orEarlier }]) => [column, `since ${at.toISOString().slice(0, 10)}${orEarlier ? ' or earlier' : ''}`]),
  )
}

function ruleText({ alpha, minPsi, rows, version, window }: DriftJson): string {
  return `Of ${rows.toLocaleString('en-US')} rows that version ${version} answered${spanText(window)}. A column drifted if its PSI is at least ${minPsi} above what chance gives, and p is below ${alpha}. Harm estimates how far a column's change moves the prediction. The harm of an output is how far its mean moved.`
}

/** The rows to compare with: without a training set, the first rows that a version answered. */
export function referenceOf({ baseline }: Pick<DriftJson, 'baseline'>): FeatureData['reference'] {
  return baseline.origins.some(({ kind }) => kind === 'served') ? 'the first rows served' : 'training'
}

/** What moved, and by what likely cause. The cause that values changed has their figures. */
function movedText(column: DriftJson['columns'][number], report: DriftJson): string {
  const { untested, drifted, effect, adjustedP } = column
  if (untested !== null) return untested
  // the shown PSI alone looks like drift
  if (!drifted && effect !== null && effect >= report.minPsi && adjustedP !== null)
    return `It did not drift: p is ${rounded(adjustedP)}.${valuesText(column, referenceOf(report))}`
  const cause = column.causes.length === 0 ? '' : capitalized(`${causesText(column.causes)}.`)
  const hasFigures = column.causes.some(({ kind }) => kind === 'source values changed')
  return hasFigures ? cause : `${valuesText(column, referenceOf(report))} ${cause}`.trim()
}

/** The part of the distance that chance gives; null: it is not known. */
function chanceOf({ distances, effect }: DriftJson['columns'][number]): number | null {
  return distances === null || effect === null ? null : Math.max(0, distances.psi - effect)
}

export function driftText(column: DriftJson['columns'][number], reference: FeatureData['reference']): string {
  const { drifted, distances, adjustedP, untested, missing } = column
  if (untested !== null) return untested
  if (distances === null) return 'There is nothing to compare.'
  const byChance = chanceOf(column)
  const chance = byChance === null ? '' : `, ${rounded(byChance)} of it by chance`
  const p = adjustedP === null ? '' : ` (p ${adjustedP < 0.001 ? 'below 0.001' : rounded(adjustedP)})`
  const [trained, served] = [missing.baseline ?? 0, missing.window ?? 0]
  const nulls = trained + served === 0 ? '' : ` ${percent(trained)} were missing in ${reference}, ${percent(served)} as served.`
  return `${drifted ? 'It drifted' : 'It did not drift'}: PSI ${rounded(distances.psi)}${chance}${p}.${valuesText(column, reference)}${nulls}`
}

/** How values moved: of categories their shares, of numbers the mean. */
function valuesText(column: DriftJson['columns'][number], reference: FeatureData['reference']): string {
  const shares = movedShares(column)
  if (shares !== null) return ` Since ${reference}, ${shares}.`
  const { otherCategories, mean } = column
  if (otherCategories !== null || mean.baseline === null || mean.window === null) return ''
  return ` The mean was ${meanText(mean.baseline)} in ${reference}, ${meanText(mean.window)} as served.`
}

function meanText(value: number): string {
  return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString('en-US') : rounded(value)
}

/** As the pages show shares. */
export function percent(share: number): string {
  const digits = Math.abs(share) < 0.1 ? 2 : 1
  return `${(share * 100).toLocaleString('en-US', { maximumFractionDigits: digits })} %`
}
