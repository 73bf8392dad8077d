import { clusteredShares } from '../../statistics/clustered-shares.ts'
import { binLabels } from '../../statistics/column-bins.ts'
import type { Baseline } from './baseline.ts'

/** A baseline as HTTP and the command line print it. */
export function baselineJson({ id, model, version, origins, rows, sampledRows, entities, effects, columns }: Baseline) {
  return {
    id,
    model,
    version,
    origins,
    rows,
    sampledRows,
    entities,
    effects,
    columns: [...columns.values()].map(({ name, type, origin, bins, statuses, numbers, sums }) => ({
      name,
      type,
      origin,
      statuses,
      numbers,
      entities: sums.entities,
      effectiveEntities: clusteredShares(sums).effectiveEntities,
      bins: binLabels(bins).map((label, bin) => ({ label, count: sums.counts[bin] ?? 0 })),
    })),
  }
}

export type BaselineJson = ReturnType<typeof baselineJson>
