import { dayMicros } from '../../kernel/values/time.ts'
import type { Window } from '../window.ts'
import { bindVersion } from '../../registry/models/bind-version.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { VersionReference } from '../../registry/models/pick-version.ts'
import { pickVersion } from '../../registry/models/pick-version.ts'
import { benjaminiHochberg } from '../../statistics/multiple-tests.ts'
import type { Baseline, BaselineOrigin } from '../baselines/baseline.ts'
import { isOutputColumn, requireBaseline } from '../baselines/baseline.ts'
import type { FeatureEffects } from '../baselines/feature-effects.ts'
import type { ModelRollup } from '../rollups/model-rollup.ts'
import type { ComparedColumn, Sides } from './baseline-sides.ts'
import { baselineSides, datasetSides, rollupSides } from './baseline-sides.ts'
import type { ColumnSide } from './compare-column.ts'
import { compareColumn } from './compare-column.ts'
import { likelyCauses } from './drift-causes.ts'
import type { ColumnDrift, DriftBaseline, DriftReport, DriftThresholds } from './drift-types.ts'
import { defaultThresholds } from './drift-types.ts'
import type { EvidenceContext } from './cause-evidence.ts'
import { gatherCauseEvidence } from './cause-evidence.ts'
import { versionRollup } from './version-rollup.ts'

export interface DriftContext extends EvidenceContext {
  readonly catalog: Catalog
}

export interface DriftQuery {
  readonly model: string
  /** Absent: the champion, or the newest version if there is none. */
  readonly version?: VersionReference
  readonly window: Window
  readonly baseline: DriftBaseline
  readonly thresholds?: DriftThresholds
  /** Effects that were measured for this report; absent: those that were stored with the baseline. */
  readonly effects?: FeatureEffects | null
  /** The answers of the version in the window; absent: they are read. */
  readonly rollup?: ModelRollup
}

/**
 * Compares the served features and outputs of a model version with a baseline.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`; `BASELINE_MISSING` where there is nothing to compare with
 */
export async function driftReport(context: DriftContext, query: DriftQuery): Promise<DriftReport> {
  const { db, catalog } = context
  const { model, window, thresholds = defaultThresholds } = query
  const declared = catalog.model(model)
  const pushed = pickVersion(declared, query.version)
  const { version } = pushed
  const { service } = bindVersion(catalog, declared.spec, pushed)
  const own = await requireBaseline(db, model, version)
  const effects = query.effects ?? own.effects
  const columns = Array.from(own.columns.values(), ({ name, type, bins, binsId }): ComparedColumn => ({ name, type, bins, binsId }))
  const rollup = query.rollup ?? (await versionRollup(db, model, version, window))
  const against = await openBaseline(context, own, query, version, columns)
  const compared = compareAll(columns, against.sides, rollupSides(rollup, columns), rollup, effects, thresholds)
  const evidence = compared.some(({ drifted }) => drifted)
    ? await gatherCauseEvidence(context, pushed, service, window, against.dataset)
    : null
  const driftedFeatures = compared.flatMap(({ column, kind, drifted }) => (drifted && kind === 'feature' ? [column] : []))
  return {
    model,
    version,
    window,
    baseline: { kind: query.baseline.kind, origins: against.origins, window: against.window, rows: against.rows },
    rows: rollup.rows,
    sampledRows: rollup.sampledRows,
    gaps: rollup.coverage.missing,
    ...thresholds,
    effects: effects === null ? null : withoutFeatures(effects),
    drifted: compared.flatMap(({ column, drifted }) => (drifted ? [column] : [])),
    columns: compared.map((column): ColumnDrift => {
      const view = service.features.find(({ name }) => name === column.column)?.use ?? null
      const known =
        evidence === null ? null : { ...evidence, driftedFeatures, view: view === null ? null : (service.uses[view]?.plan ?? null) }
      return { ...column, causes: column.drifted && known !== null ? likelyCauses(column, known) : [] }
    }),
    notes: notesOf(rollup, own, against, effects, compared),
  }
}

interface OpenedBaseline {
  readonly sides: Sides
  readonly origins: readonly BaselineOrigin[]
  readonly window: Window | null
  readonly rows: number
  /** The training set behind it; null: none. */
  readonly dataset: string | null
}

async function openBaseline(
  { db, catalog }: DriftContext,
  own: Baseline,
  { model, baseline, window }: DriftQuery,
  version: number,
  columns: readonly ComparedColumn[],
): Promise<OpenedBaseline> {
  switch (baseline.kind) {
    case 'training': {
      const dataset = own.origins.find((origin) => origin.kind === 'training set')?.dataset ?? null
      return { sides: baselineSides(own), origins: own.origins, window: null, rows: own.rows, dataset }
    }
    case 'dataset': {
      const { dataset, rows, sides, origins } = await datasetSides(db, catalog, baseline.id, columns)
      return { sides, origins, window: null, rows, dataset }
    }
    case 'previous':
    case 'same-hour-yesterday':
    case 'same-hour-last-week': {
      const earlier = earlierWindow(baseline, window)
      const rollup = await versionRollup(db, model, version, earlier)
      return { sides: rollupSides(rollup, columns), origins: [], window: earlier, rows: rollup.rows, dataset: null }
    }
    default:
      return baseline satisfies never
  }
}

/** The part of the past that a window is compared with. */
export function earlierWindow(
  baseline: Extract<DriftBaseline, { readonly kind: 'previous' | 'same-hour-yesterday' | 'same-hour-last-week' }>,
  { from, to }: Window,
): Window {
  if (baseline.kind === 'previous') return { from: from - baseline.micros, to: from }
  const micros = (baseline.kind === 'same-hour-yesterday' ? 1 : 7) * dayMicros
  return { from: from - micros, to: to - micros }
}

type Compared = Omit<ColumnDrift, 'causes'>

function compareAll(
  columns: readonly ComparedColumn[],
  baseline: Sides,
  window: Sides,
  rollup: ModelRollup,
  effects: FeatureEffects | null,
  { alpha, minPsi }: DriftThresholds,
): Compared[] {
  const all = columns.map((column) => compareOne(column, baseline.get(column.name), window.get(column.name), rollup, effects))
  const tested = all.filter(({ test }) => test !== null && test.p !== null)
  const adjusted = benjaminiHochberg(tested.map(({ test }) => test?.p ?? 1))
  const byColumn = new Map(tested.map(({ column }, i) => [column, adjusted[i] as number]))
  return all
    .map((column): Compared => {
      const adjustedP = byColumn.get(column.column) ?? null
      return { ...column, adjustedP, drifted: adjustedP !== null && adjustedP < alpha && (column.effect ?? 0) >= minPsi }
    })
    .toSorted(byHarm)
}

/** Features by harm, then those whose harm is not known by effect; then outputs. */
function byHarm(a: Compared, b: Compared): number {
  if (a.kind !== b.kind) return a.kind === 'feature' ? -1 : 1
  return (b.harm ?? -1) - (a.harm ?? -1) || (b.effect ?? -1) - (a.effect ?? -1)
}

function compareOne(
  { name, type, bins }: ComparedColumn,
  baseline: ColumnSide | undefined,
  window: ColumnSide | undefined,
  rollup: ModelRollup,
  effects: FeatureEffects | null,
): Compared {
  const isOutput = isOutputColumn(name)
  const nothing: ColumnSide = { statuses: {}, counts: [], sums: emptySums, numbers: null }
  const [before, now] = [baseline ?? nothing, window ?? nothing]
  const compared = compareColumn(bins, before, now)
  // of booleans, rollups have a mean and baselines have none
  const mean =
    bins.kind === 'category' && before.numbers === null
      ? noMean
      : { baseline: before.numbers?.mean ?? null, window: now.numbers?.mean ?? null }
  const { test, distances } = compared
  const effect = test === null || distances === null ? null : distances.psi - test.psiByChance
  const moved = effects?.byFeature[name]
  const shift = mean.baseline === null || mean.window === null ? null : Math.abs(mean.window - mean.baseline)
  return {
    ...compared,
    column: name,
    kind: isOutput ? 'output' : 'feature',
    type,
    drifted: false,
    adjustedP: null,
    effect,
    harm: isOutput ? shift : moved === undefined || distances === null ? null : moved * distances.totalVariation,
    mean,
    newCategories:
      bins.kind === 'number'
        ? []
        : (rollup.columns.get(name)?.values?.top ?? []).flatMap(({ value }) => (bins.values.includes(value) ? [] : [value])),
    untested: untestedReason(baseline, window, test),
  }
}

const noMean = { baseline: null, window: null }

const emptySums: ColumnSide['sums'] = {
  bins: 0,
  entities: 0,
  squares: 0,
  counts: new Float64Array(0),
  weighted: new Float64Array(0),
  products: new Float64Array(0),
}

function untestedReason(baseline: ColumnSide | undefined, window: ColumnSide | undefined, test: Compared['test']): string | null {
  if (baseline === undefined) return 'What the window is compared with has no counts of this column over the same bins.'
  if (window === undefined)
    return "The window has no rows that were counted over the baseline's bins. Servers count them from a minute after the baseline is made."
  if (test === null) return 'A side has fewer than two entities.'
  return test.reason
}

function notesOf(
  { rows, sampledRows, coverage }: ModelRollup,
  own: Baseline,
  against: OpenedBaseline,
  effects: FeatureEffects | null,
  columns: readonly Pick<Compared, 'rows'>[],
): string[] {
  const notes: string[] = []
  if (rows === 0) notes.push('No rows were served in the window.')
  else if (sampledRows < rows)
    notes.push(`Values were counted of ${sampledRows.toLocaleString('en')} of ${rows.toLocaleString('en')} rows.`)
  const counted = Math.max(0, ...columns.map((column) => column.rows.window))
  if (counted > 0 && counted < sampledRows)
    notes.push(`Distances and tests are of the ${counted.toLocaleString('en')} rows that were counted over the baseline's bins.`)
  if (against.window !== null && against.rows === 0) notes.push('No rows were served in the time that the window is compared with.')
  if (coverage.missing.length > 0) notes.push(`Parts of the window were not measured: ${coverage.missing.length}.`)
  if (effects === null) notes.push('The harm is not known yet: a worker measures how far each feature moves the prediction.')
  if (!own.origins.some(({ kind }) => kind !== 'training set'))
    notes.push('The outputs have no baseline yet: a worker predicts them for the training set.')
  if (columns.length === 0) notes.push('The baseline has no columns.')
  return notes
}

function withoutFeatures({ output, unit, rows, from }: FeatureEffects): DriftReport['effects'] {
  return { output, unit, rows, from }
}
