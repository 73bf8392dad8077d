import { columnKeys } from '../../kernel/column-keys.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { entityRows, entitySums } from '../../offline/profile/column-profile.ts'
import { findDataset } from '../../offline/datasets/stored-datasets.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { ColumnBins } from '../../statistics/column-bins.ts'
import type { Baseline } from '../baselines/baseline.ts'
import { datasetBaseline, isOutputColumn } from '../baselines/baseline.ts'
import { trainingRows } from '../baselines/training-rows.ts'
import type { ColumnRollup, ModelRollup } from '../rollups/model-rollup.ts'
import type { ColumnSide } from './compare-column.ts'

/** The bins of a column of the version's baseline, over which both sides are counted. */
export interface ComparedColumn {
  readonly name: string
  readonly type: string
  readonly bins: ColumnBins
  readonly binsId: string
}

/** A side by column; a column is absent where nothing is known of it. */
export type Sides = ReadonlyMap<string, ColumnSide>

export function baselineSides({ columns }: Pick<Baseline, 'columns'>): Sides {
  return new Map(
    Array.from(columns, ([name, { statuses, sums, numbers }]) => [name, { statuses, counts: [...sums.counts], sums, numbers }]),
  )
}

/** Columns that were counted over the bins of the baseline. */
export function rollupSides(rollup: Pick<ModelRollup, 'columns'>, columns: readonly ComparedColumn[]): Sides {
  const sides = new Map<string, ColumnSide>()
  for (const { name, binsId } of columns) {
    const column = rollup.columns.get(name)
    const bins = column?.bins.find((each) => each.binsId === binsId)
    if (column !== undefined && bins !== undefined)
      sides.set(name, { statuses: statusesOf(name, column), counts: bins.counts, sums: bins.sums, numbers: numbersOf(column) })
  }
  return sides
}

function statusesOf(name: string, { statuses }: ColumnRollup): ColumnSide['statuses'] {
  return isOutputColumn(name) ? {} : statuses
}

function numbersOf({ moments }: ColumnRollup): ColumnSide['numbers'] {
  if (moments === null) return null
  const { mean, deviation, least, greatest } = moments
  return { mean, deviation, min: least, max: greatest }
}

/**
 * The features of another training set, counted over the bins of the version's baseline.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`; `BASELINE_MISSING` if the set has no baseline
 */
export async function datasetSides(
  db: Database,
  catalog: Pick<Catalog, 'service'>,
  id: string,
  columns: readonly ComparedColumn[],
): Promise<{ readonly dataset: string; readonly rows: number; readonly sides: Sides; readonly origins: Baseline['origins'] }> {
  const dataset = await findDataset(db, id)
  const baseline = await datasetBaseline(db, dataset.id)
  if (baseline === null) {
    throw new LockstepError(
      'BASELINE_MISSING',
      `The training set "${dataset.id}" has no baseline. Push a version with --dataset ${dataset.id} and run "lockstep baseline create" for it.`,
      { details: { dataset: dataset.id } },
    )
  }
  const service = catalog.service(dataset.service)
  const { features } = service
  const rows = await trainingRows(db, catalog, dataset.id, service)
  const { list, ofFeature } = columnKeys(service)
  const entities = list.map((_, k) => entityRows(rows.map((row) => row.entities[k] ?? '')))
  const sides = new Map<string, ColumnSide>()
  for (const { name, type, bins } of columns) {
    const own = baseline.columns.get(name)
    const index = features.findIndex((feature) => feature.name === name)
    if (own === undefined || index < 0 || own.type !== type) continue
    const sums = entitySums(
      bins,
      rows.map(({ values }) => values[index] ?? null),
      entities[ofFeature[index] ?? 0] ?? [],
    )
    sides.set(name, { statuses: own.statuses, counts: [...sums.counts], sums, numbers: own.numbers })
  }
  return { dataset: dataset.id, rows: baseline.rows, sides, origins: baseline.origins }
}
