import { formatNumber, formatShare } from '../../kernel/values/format-number.ts'
import type { ViewUse } from '../../kernel/service-plan.ts'
import type { ColumnDrift, DriftCause } from './drift-types.ts'
import type { MovedField } from './request-fields.ts'

/** The facts that surround a column that drifted. */
export interface CauseEvidence {
  /** The view behind a feature; null: an on-demand view, or an output. */
  readonly view: ViewUse['plan'] | null
  /** By view: why it is late now. */
  readonly late: ReadonlyMap<string, string>
  /** Views whose definition differs from that of the baseline. */
  readonly changedViews: ReadonlySet<string>
  /** null: the time before has no rows to compare with. */
  readonly volume: { readonly ratio: number; readonly text: string } | null
  /** null: it did not move, or is not known. */
  readonly entityMix: string | null
  /** Request data that moved, which on-demand views take. */
  readonly requestFields: readonly MovedField[]
  /** Features that drifted, the most harmful first. */
  readonly driftedFeatures: readonly string[]
}

/** A status counts as moved from this difference of shares on. */
const minStatusMove = 0.02
/** A volume counts as changed beyond this ratio, or its inverse. */
const minVolumeRatio = 1.5

type Drifted = Omit<ColumnDrift, 'causes'>

/**
 * The likely causes of a drift, the most specific first. A changed volume moves no values: it explains nothing alone.
 */
export function likelyCauses(column: Drifted, evidence: CauseEvidence): DriftCause[] {
  if (column.kind === 'output') return [outputCause(evidence.driftedFeatures)]
  const moved = movedStatuses(column)
  const causes: DriftCause[] = []
  const late = evidence.view === null ? undefined : evidence.late.get(evidence.view.id)
  if (late !== undefined) causes.push({ kind: 'source late', text: `the view "${evidence.view?.id}" is late: ${late}` })
  if (evidence.view !== null && evidence.changedViews.has(evidence.view.id)) {
    causes.push({ kind: 'view changed', text: `the view "${evidence.view.id}" has another definition than in the training set` })
  }
  if (moved.length > 0) causes.push({ kind: 'statuses moved', text: moved.join(', ') })
  if (column.newCategories.length > 0 && isMore(column.otherCategories)) {
    const { baseline, window } = column.otherCategories
    const named = column.newCategories.slice(0, 3).map((value) => `"${value}"`)
    causes.push({
      kind: 'new categories',
      text: `categories that the baseline does not name went from ${formatShare(baseline)} to ${formatShare(window)} of rows: ${named.join(', ')}`,
    })
  }
  const fields = evidence.view === null ? evidence.requestFields.filter(({ unrelated }) => !unrelated.has(column.column)) : []
  if (fields.length > 0)
    causes.push({
      kind: 'request fields moved',
      text: `if "${column.column}" is computed from it, ${fields.map(({ text }) => text).join('; ')}`,
    })
  if (evidence.entityMix !== null) causes.push({ kind: 'mix of entities moved', text: evidence.entityMix })
  if (causes.length === 0) causes.push(sourceValues(column, evidence))
  if (isVolumeChanged(evidence)) causes.push({ kind: 'volume changed', text: evidence.volume.text })
  return causes
}

/** The causes in a text, as alerts and pages show them. */
export function causesText(causes: readonly Pick<DriftCause, 'text'>[]): string {
  return causes.map(({ text }) => text).join('; ')
}

function isVolumeChanged(evidence: Pick<CauseEvidence, 'volume'>): evidence is { readonly volume: NonNullable<CauseEvidence['volume']> } {
  const { volume } = evidence
  return volume !== null && (volume.ratio >= minVolumeRatio || volume.ratio <= 1 / minVolumeRatio)
}

function outputCause(features: readonly string[]): DriftCause {
  if (features.length === 0)
    return { kind: 'unknown', text: 'no feature drifted: the relation of the features to each other changed, or the model did' }
  const named = features.slice(0, 3).map((name) => `"${name}"`)
  return { kind: 'features drifted', text: `${named.join(', ')}${features.length > 3 ? ` and ${features.length - 3} more` : ''} drifted` }
}

function movedStatuses({ missing }: Drifted): string[] {
  return missing.reasons
    .filter(({ baseline, window }) => Math.abs(window - baseline) >= minStatusMove)
    .map(({ status, baseline, window }) => `${status} went from ${formatShare(baseline)} to ${formatShare(window)} of rows`)
}

function isMore(shares: Drifted['otherCategories']): shares is NonNullable<Drifted['otherCategories']> {
  return shares !== null && shares.window - shares.baseline >= minStatusMove
}

function sourceValues(column: Drifted, evidence: CauseEvidence): DriftCause {
  const { view, volume, entityMix } = evidence
  const changed =
    view === null ? 'request data, an input or the time of the requests changed' : `the source "${view.spec.source.name}" has other values`
  const unmoved = [
    'statuses',
    ...(volume === null || isVolumeChanged(evidence) ? [] : ['volume']),
    ...(entityMix === null ? ['entities'] : []),
  ]
    .join(', ')
    .replace(/, (\w+)$/, ' and $1')
  const figures = movedShares(column) ?? movedMean(column)
  return {
    kind: 'source values changed',
    text: `values moved while ${unmoved} did not, so ${changed}${figures === null ? '' : `: ${figures}`}`,
  }
}

const minMeanMove = 0.02

function movedMean({ mean }: Pick<Drifted, 'mean'>): string | null {
  if (mean.baseline === null || mean.window === null || mean.baseline === 0) return null
  const ratio = mean.window / mean.baseline
  // values moved about a mean that stayed
  if (Math.abs(ratio - 1) < minMeanMove) return null
  // the ratio of means with different signs says nothing
  const times = ratio <= 0 ? '' : ` (×${formatNumber(ratio)}${isUnit(ratio) ? ': did its unit change?' : ''})`
  return `the mean went from ${formatNumber(mean.baseline)} to ${formatNumber(mean.window)}${times}`
}

/** So many categories are named. */
const namedShares = 3

/** Which categories have more or fewer rows; null: the column has no categories, or none moved by so much. */
export function movedShares({
  otherCategories,
  bins,
}: {
  readonly otherCategories: Drifted['otherCategories']
  readonly bins: readonly { readonly label: string; readonly baseline: number | null; readonly window: number | null }[]
}): string | null {
  if (otherCategories === null) return null
  const moves = bins
    .map(({ label, baseline, window }) => ({ label, before: baseline ?? 0, now: window ?? 0 }))
    .filter(({ before, now }) => Math.abs(now - before) >= minStatusMove)
    .toSorted((a, b) => Math.abs(b.now - b.before) - Math.abs(a.now - a.before))
  if (moves.length === 0) return null
  const named = moves
    .slice(0, namedShares)
    .map(({ label, before, now }) => `"${label}" went from ${formatShare(before)} to ${formatShare(now)} of rows`)
  return named.join(', ')
}

/** Factors between usual units: powers of ten, 60, 3600, 24, and of length and mass. */
const units = [10, 60, 24, 3600, 86_400, 1.609, 3.281, 2.205, 2.54]
const tolerance = 0.15

/** Whether a ratio of means looks like a change of unit. */
export function isUnit(ratio: number): boolean {
  // a mean that changed its sign changed more than its unit
  const size = Math.max(ratio, 1 / ratio)
  if (!Number.isFinite(size) || size < 1.5) return false
  const power = Math.log10(size)
  if (power > 0.9 && Math.abs(power - Math.round(power)) < Math.log10(1 + tolerance)) return true
  return units.some((unit) => Math.abs(size / unit - 1) < tolerance / 3)
}
