import type { Window } from '../../window.ts'
import { asRecord } from '../../../kernel/is-record.ts'
import { formatShare } from '../../../kernel/values/format-number.ts'
import type { CheckOf } from '../../../registry/define/check-options.ts'
import { watchedName } from '../../../registry/monitor-spec.ts'
import type { EntitySums } from '../../../statistics/clustered-shares.ts'
import { createEntitySums } from '../../../statistics/clustered-shares.ts'
import { nullBin } from '../../../statistics/column-bins.ts'
import { benjaminiHochberg } from '../../../statistics/multiple-tests.ts'
import type { ObservedShare } from '../../../statistics/share-rise.ts'
import { effectiveRows, minEffectiveRows, shareRise } from '../../../statistics/share-rise.ts'
import { findDataset } from '../../../offline/datasets/stored-datasets.ts'
import type { Baseline } from '../../baselines/baseline.ts'
import { baselineOf, datasetBaseline } from '../../baselines/baseline.ts'
import { earlierWindow } from '../../drift/drift-report.ts'
import type { DriftBaseline } from '../../drift/drift-types.ts'
import { versionRollup } from '../../drift/version-rollup.ts'
import type { ModelRollup } from '../../rollups/model-rollup.ts'
import type { CheckContext, CheckKind } from '../check-kind.ts'
import { baselineText, driftBaseline } from './compared-baseline.ts'
import type { ColumnResult } from './group-columns.ts'
import { groupColumns, unknownColumn } from './group-columns.ts'
import { writtenUntil } from '../../rollups/read-parts.ts'
import { alphaOfEvaluation } from './repeated-looks.ts'
import { sharedRollup } from './shared-rollup.ts'
import type { WatchedVersion } from './watched-versions.ts'
import { askedColumns, nothingServed, reasonOf, watchedVersions } from './watched-versions.ts'

type Spec = CheckOf<'nulls'>

/** What each status says about the cause. */
const causes: Readonly<Record<string, string>> = {
  NULL_VALUE: 'rows have the value null: check what the source sends',
  NOT_FOUND: 'entities have no row: check whether the source covers them, or whether keys changed',
  OUTSIDE_MAX_AGE: 'rows are older than the maximum age: the feed is late or has stopped',
  INVALID: 'values do not fit their type or constraint: check what the source sends',
  UNAVAILABLE: 'the online store did not answer: check the store and its network',
}

/** The rows of one feature by status, and how far they depend on each other. */
interface Side {
  readonly statuses: Readonly<Record<string, number>>
  readonly rows: number
  readonly effectiveRows: number
}
type Sides = ReadonlyMap<string, Side>

/** Whether features lack a value more often than in the baseline, by exact counts of statuses. */
export const nulls: CheckKind<Spec> = async (context, spec) => {
  const model = watchedName(context.monitor)
  const versions = watchedVersions(context.catalog, model)
  if (versions.length === 0) return [nothingServed(model)]
  const results = await Promise.all(versions.map((version) => checkVersion(context, spec, version)))
  return results.flatMap((columns, i) => groupColumns(columns, versions[i] as WatchedVersion, context.memoryOf))
}

async function checkVersion(context: CheckContext, spec: Spec, watched: WatchedVersion): Promise<ColumnResult[]> {
  const { db, monitor, window } = context
  const to = writtenUntil(window.to)
  const looked = { from: to - monitor.windowMicros, to }
  const columns = askedColumns(watched.features, spec.columns)
  const { model, version } = watched
  const rollup = await sharedRollup(context, watched, looked)
  const now = rollupSides(rollup)
  const opened = await openBaseline(db, watched, driftBaseline(spec.baseline), looked)
  if (typeof opened === 'string') return columns.map((column) => unknownColumn(column, opened))
  const compared = columns.map((column) => compare(opened.sides.get(column), now.get(column)))
  const tested = compared.flatMap(({ p }) => (p === null ? [] : [p]))
  const adjusted = benjaminiHochberg(tested)
  let next = 0
  const results = compared.map(({ p, before, after }, i): ColumnResult => {
    const column = columns[i] as string
    const adjustedP = p === null ? null : (adjusted[next++] as number)
    if (before === null || after === null || adjustedP === null) return unknownColumn(column, tooFew(column, watched, before, after))
    const threshold = Math.min(1, Math.max(before.share + spec.minRise, spec.factor * before.share))
    const rose = after.share >= threshold && after.share > before.share
    const isBreach = rose && adjustedP < alphaOfEvaluation(spec.alpha, monitor)
    const moves = movesOf(opened.sides.get(column), now.get(column))
    const evidence = { adjustedP, baseline: before.share, statuses: moves, effectiveRows: after.effectiveRows, against: opened.text }
    const base = { column, value: after.share, threshold, n: after.rows, evidence }
    if (!isBreach) return { ...base, state: 'ok', cause: null }
    const [most] = moves
    const why = most === undefined ? '' : ` Most moved is ${most.status}: ${causes[most.status] ?? 'the reason is not known'}.`
    const cause = `"${column}" of "${model}@${version}" has no value in ${formatShare(after.share)} of rows; in ${opened.text} it is ${formatShare(before.share)}.${why}`
    return { ...base, state: 'breach', cause }
  })
  const riseOf = ({ value, evidence }: ColumnResult) => (value ?? 0) - Number(asRecord(evidence)['baseline'] ?? 0)
  return results.toSorted((a, b) => riseOf(b) - riseOf(a))
}

interface Compared {
  readonly before: ObservedShare | null
  readonly after: ObservedShare | null
  /** null: too few rows. */
  readonly p: number | null
}

function compare(baseline: Side | undefined, window: Side | undefined): Compared {
  const of = (side: Side | undefined) => (side === undefined || side.rows === 0 ? null : lackingShare(side))
  const [before, after] = [of(baseline), of(window)]
  if (before === null || after === null) return { before, after, p: null }
  return { before, after, p: shareRise(before, after) }
}

function lackingShare({ statuses, rows, effectiveRows: effective }: Side): ObservedShare {
  return { share: 1 - (statuses['PRESENT'] ?? 0) / rows, rows, effectiveRows: effective }
}

function tooFew(column: string, { model, version }: WatchedVersion, before: ObservedShare | null, after: ObservedShare | null): string {
  if (before === null) return `The baseline of "${model}@${version}" does not have the column "${column}".`
  if (after === null) return `No row of "${model}@${version}" with "${column}" was counted in the window.`
  const rows = Math.floor(Math.min(before.effectiveRows, after.effectiveRows))
  return `Rows of one entity depend on each other: a side is worth ${rows} independent rows, and ${minEffectiveRows} are needed.`
}

/** The statuses whose share rose, the greatest rise first. */
function movesOf(before: Side | undefined, after: Side | undefined): { status: string; baseline: number; window: number }[] {
  if (before === undefined || after === undefined) return []
  return Object.keys(causes)
    .map((status) => ({
      status,
      baseline: (before.statuses[status] ?? 0) / before.rows,
      window: (after.statuses[status] ?? 0) / after.rows,
    }))
    .filter((move) => move.window > move.baseline)
    .toSorted((a, b) => b.window - b.baseline - (a.window - a.baseline))
}

interface OpenedBaseline {
  readonly sides: Sides
  readonly text: string
}

/** @returns a text: why there is no baseline */
async function openBaseline(
  db: CheckContext['db'],
  { model, version }: Pick<WatchedVersion, 'model' | 'version'>,
  baseline: DriftBaseline,
  window: Window,
): Promise<OpenedBaseline | string> {
  switch (baseline.kind) {
    case 'training': {
      const own = await baselineOf(db, model, version)
      // without one, the same hours of the day before stand in for it
      if (own === null) return await openBaseline(db, { model, version }, { kind: 'same-hour-yesterday' }, window)
      return { sides: baselineSides(own), text: baselineText(baseline, own.origins) }
    }
    case 'dataset':
      try {
        const { id } = await findDataset(db, baseline.id)
        const own = await datasetBaseline(db, id)
        return own === null ? `The training set "${id}" has no baseline.` : { sides: baselineSides(own), text: baselineText(baseline) }
      } catch (error) {
        return reasonOf(error)
      }
    case 'previous':
    case 'same-hour-yesterday':
    case 'same-hour-last-week': {
      const rollup = await versionRollup(db, model, version, earlierWindow(baseline, window))
      if (rollup.rows === 0) return `"${model}@${version}" has no baseline, and answered no rows in ${baselineText(baseline)}.`
      return { sides: rollupSides(rollup), text: baselineText(baseline) }
    }
    default:
      return baseline satisfies never
  }
}

/** The sample of a training set has all rows of its entities. */
function baselineSides({ columns }: Pick<Baseline, 'columns'>): Sides {
  return new Map(Array.from(columns, ([name, { statuses, sums }]) => [name, sideOf(statuses, sums, null)]))
}

/** For columns without bins, only the number of entities is known. */
function rollupSides({ columns }: Pick<ModelRollup, 'columns'>): Sides {
  return new Map(
    Array.from(columns, ([name, { statuses, bins, sampled, entities }]) => {
      const [most] = bins.toSorted((a, b) => b.sums.squares - a.sums.squares)
      return [name, sideOf(statuses, most?.sums ?? { ...createEntitySums(1), entities }, sampled)]
    }),
  )
}

function sideOf(statuses: Side['statuses'], sums: EntitySums, sampled: number | null): Side {
  const rows = Object.values(statuses).reduce((sum, count) => sum + count, 0)
  const known = sums.counts.some((count) => count > 0)
  const effective = known ? effectiveRows(sums, nullBin, rows, sampled ?? rows) : Math.min(rows, sums.entities)
  return { statuses, rows, effectiveRows: effective }
}
