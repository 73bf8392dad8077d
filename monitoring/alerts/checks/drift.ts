import type { Window } from '../../window.ts'
import { formatNumber } from '../../../kernel/values/format-number.ts'
import type { CheckOf } from '../../../registry/define/check-options.ts'
import { watchedName } from '../../../registry/monitor-spec.ts'
import type { JsonValue } from '../../../kernel/specs/view-spec.ts'
import { dayMicros } from '../../../kernel/values/time.ts'
import { causesText } from '../../drift/drift-causes.ts'
import { driftReport } from '../../drift/drift-report.ts'
import type { ColumnDrift, DriftBaseline, DriftReport } from '../../drift/drift-types.ts'
import { servedFreshness } from '../../drift/served-freshness.ts'
import type { CheckContext, CheckKind, CheckResult } from '../check-kind.ts'
import { baselineText, driftBaseline } from './compared-baseline.ts'
import type { ColumnResult } from './group-columns.ts'
import { groupColumns, unknownColumn } from './group-columns.ts'
import { writtenUntil } from '../../rollups/read-parts.ts'
import { alphaOfEvaluation } from './repeated-looks.ts'
import { sharedRollup } from './shared-rollup.ts'
import type { WatchedVersion } from './watched-versions.ts'
import { askedColumns, nothingServed, reasonOf, watchedVersions } from './watched-versions.ts'

type Spec = CheckOf<'drift'> | CheckOf<'predictions'>

const weekMicros = 7 * dayMicros
const lastWeek: DriftBaseline = { kind: 'same-hour-last-week' }
/** A shorter window has values of some hours only. What differs as it did at those hours before is no drift. */
const usualAt: readonly DriftBaseline[] = [{ kind: 'same-hour-yesterday' }, lastWeek]

/** Whether the values of features differ from the baseline: by a test, and by how much. */
export const drift: CheckKind<CheckOf<'drift'>> = (context, spec) => evaluate(context, spec, 'features')

/** The same of a model's outputs. */
export const predictions: CheckKind<CheckOf<'predictions'>> = (context, spec) => evaluate(context, spec, 'outputs')

async function evaluate(context: CheckContext, spec: Spec, kind: 'features' | 'outputs'): Promise<CheckResult[]> {
  const model = watchedName(context.monitor)
  const versions = watchedVersions(context.catalog, model)
  if (versions.length === 0) return [nothingServed(model)]
  const results: CheckResult[] = []
  for (const version of versions) results.push(...groupColumns(await checkVersion(context, spec, version, kind), version, context.memoryOf))
  return results
}

async function checkVersion(
  context: CheckContext,
  spec: Spec,
  watched: WatchedVersion,
  kind: 'features' | 'outputs',
): Promise<ColumnResult[]> {
  const { monitor } = context
  const columns = askedColumns(watched[kind], spec.columns)
  const to = writtenUntil(context.window.to)
  const window = { from: to - monitor.windowMicros, to }
  const baseline = driftBaseline(spec.baseline)
  const report = await reportOf(context, spec, watched, window, baseline)
  if (typeof report === 'string') return columns.map((column) => unknownColumn(column, report))
  const usual = await usualColumns(context, spec, watched, report, baseline)
  // the report has them by harm
  const byHarm = new Map(report.columns.map((column, i) => [column.column, i]))
  const ordered = columns.toSorted((a, b) => (byHarm.get(a) ?? Infinity) - (byHarm.get(b) ?? Infinity))
  return ordered.map((name) => {
    const column = report.columns.find((each) => each.column === name)
    if (column === undefined || report.rows === 0) {
      const none = `Nothing was served by "${watched.model}@${watched.version}" in the window.`
      const cause = report.rows === 0 ? none : `The baseline of "${watched.model}@${watched.version}" does not have "${name}".`
      return unknownColumn(name, cause)
    }
    return columnResult(column, { report, baseline, usual: usual.has(name), context })
  })
}

interface Found {
  readonly report: DriftReport
  readonly baseline: DriftBaseline
  /** Whether it is so at these hours. */
  readonly usual: boolean
  readonly context: CheckContext
}

function columnResult(column: ColumnDrift, { report, baseline, usual, context }: Found): ColumnResult {
  const { adjustedP, effect, harm, mean, missing, causes, untested, drifted } = column
  const left = drifted ? leftTo(column, context) : null
  const evidence: JsonValue = {
    adjustedP,
    psi: column.distances?.psi ?? null,
    psiByChance: column.test?.psiByChance ?? null,
    harm,
    mean: { ...mean },
    missing: { baseline: missing.baseline, window: missing.window },
    entities: column.test === null ? null : { ...column.test.entities },
    newCategories: column.newCategories.slice(0, 10),
    causes: causes.map((each) => ({ ...each })),
    usualAtThisTime: drifted && usual,
    leftTo: left,
  }
  const base = { column: column.column, value: effect, threshold: report.minPsi, n: column.rows.window, evidence }
  if (adjustedP === null) return { ...base, state: 'unknown', cause: untested ?? 'The column was not tested.' }
  if (!drifted) return { ...base, state: 'ok', cause: null }
  const name = `"${column.column.replace(/^output:/, '')}"`
  if (left !== null) return { ...base, state: 'ok', cause: `${name} differs. The check "${left}" reports why.` }
  if (usual) return { ...base, state: 'ok', cause: `${name} differs, as it did at this time a day or a week ago.` }
  const distance = `PSI ${formatNumber(column.distances?.psi ?? 0)}, ${formatNumber(column.test?.psiByChance ?? 0)} by chance`
  const cause = `${name} of "${report.model}@${report.version}" differs from ${baselineText(baseline, report.baseline.origins)} (${distance}): ${causesText(causes)}. "lockstep drift ${report.model}" shows all columns.`
  return { ...base, state: 'breach', cause }
}

/**
 * Another check of the same monitor that alarms for it: where values only lack more often, "nulls"; where an output
 * moves because features do, "drift".
 */
function leftTo({ kind, causes, missing }: ColumnDrift, { monitor }: CheckContext): string | null {
  const nulls = monitor.checks.find((check) => check.kind === 'nulls')
  if (kind === 'output') {
    const follows = causes.some((cause) => cause.kind === 'features drifted')
    return follows && monitor.checks.some((check) => check.kind === 'drift') ? 'drift' : null
  }
  const lacking = missing.reasons.reduce((sum, { window }) => sum + window, 0)
  const before = missing.reasons.reduce((sum, { baseline }) => sum + baseline, 0)
  const isNulls =
    nulls?.kind === 'nulls' &&
    lacking >= before + nulls.minRise &&
    lacking >= nulls.factor * before &&
    causes.some((cause) => cause.kind === 'statuses moved') &&
    !causes.some((cause) => cause.kind === 'new categories' || cause.kind === 'view changed')
  return isNulls ? 'nulls' : null
}

/**
 * Columns that differ from the baseline only because of the time:
 *
 * - in a window of less than a day, those that are as at the same hours of the day or the week before
 * - in a window of less than a week, such as a Sunday, those that are as a week before, if the last seven days together
 *   are like the baseline. So a change that stays is a drift, however slowly it came.
 */
async function usualColumns(
  context: CheckContext,
  spec: Spec,
  watched: WatchedVersion,
  { window, drifted }: DriftReport,
  baseline: DriftBaseline,
): Promise<ReadonlySet<string>> {
  const usual = new Set<string>()
  const isEarlier = baseline.kind !== 'training' && baseline.kind !== 'dataset'
  const micros = window.to - window.from
  if (drifted.length === 0 || isEarlier || micros >= weekMicros) return usual
  const like = async (over: Window, earlier: DriftBaseline): Promise<ReadonlySet<string>> => {
    const report = await reportOf(context, spec, watched, over, earlier)
    if (typeof report === 'string') return new Set()
    return new Set(report.columns.flatMap(({ column, adjustedP, drifted: differs }) => (adjustedP !== null && !differs ? [column] : [])))
  }
  if (micros >= dayMicros) {
    const asLastWeek = await like(window, lastWeek)
    if (asLastWeek.size === 0) return usual
    const overAWeek = await like({ from: window.to - weekMicros, to: window.to }, baseline)
    return new Set([...asLastWeek].filter((column) => overAWeek.has(column)))
  }
  for (const earlier of usualAt) for (const column of await like(window, earlier)) usual.add(column)
  return usual
}

/** @returns a text: why there is nothing to compare */
async function reportOf(
  context: CheckContext,
  { alpha, minPsi }: Spec,
  { model, version }: WatchedVersion,
  window: Window,
  baseline: DriftBaseline,
): Promise<DriftReport | string> {
  const thresholds = { alpha: alphaOfEvaluation(alpha, context.monitor), minPsi }
  const { driftReports } = context.shared
  const key = JSON.stringify([version, window, baseline, thresholds])
  let report = driftReports.get(key)
  if (report === undefined) {
    const { db, catalog, store } = context
    const freshness = async (views: ReadonlySet<string>) =>
      store === null ? [] : await servedFreshness({ db, catalog, store: () => store, now: context.window.to }, views)
    report = sharedRollup(context, { model, version }, window)
      .then((rollup) => driftReport({ db, catalog, freshness }, { model, version, window, baseline, thresholds, rollup }))
      .catch(reasonOf)
    driftReports.set(key, report)
  }
  return await report
}
