import type { Window } from '../window.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { entityRows, profileColumn } from '../../offline/profile/column-profile.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { ModelVersion } from '../../registry/models/model-versions.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { SampledPrediction } from '../prediction-log/sample-log.ts'
import { sampleLog } from '../prediction-log/sample-log.ts'
import { outputColumn } from './baseline.ts'
import { featureEffects } from './feature-effects.ts'
import type { RunnableVersion } from './run-version.ts'
import { openVersion } from './run-version.ts'
import { trainingRows } from './training-rows.ts'
import { storeVersionBaseline } from './store-version-baseline.ts'

/**
 * Makes the baseline of a version's outputs: its predictions for sampled rows of its training set.
 *
 * @returns false where the training set has no baseline, or no row of it has all required features
 * @throws LockstepError `MODEL_MISMATCH`, `MODEL_INVALID`, `MODEL_FAILED`
 */
export async function createOutputBaseline(db: Database, catalog: Catalog, version: ModelVersion): Promise<boolean> {
  const { dataset } = version
  if (dataset === null) return false
  const model = await openVersion(db, catalog, version)
  try {
    const accepted = (await trainingRows(db, catalog, dataset, model.service)).filter(({ values }) => model.accepts(values))
    if (accepted.length === 0) return false
    const predictions = await model.run(accepted.map(({ values }) => values))
    const entities = entityRows(accepted.map(({ entity }) => entity))
    const columns = model.outputs.map(({ name, type }, o) => ({
      ...profileColumn(
        { name: outputColumn(name), type },
        predictions.map((prediction) => prediction[o] ?? null),
        entities,
      ),
      statuses: {},
    }))
    await storeVersionBaseline(db, version.model, version.version, {
      origin: { kind: 'training predictions', dataset },
      rows: accepted.length,
      sampledRows: accepted.length,
      entities: entities.length,
      effects: await featureEffects(
        model,
        accepted.map(({ values }) => values),
        'training set',
      ),
      columns,
    })
    return true
  } finally {
    await model.close()
  }
}

const maxServedRows = 20_000

/**
 * Makes a version's baseline from the prediction log: of its features and outputs.
 *
 * @returns how many rows it was made of; 0: there is no row, and no baseline
 * @throws LockstepError `MODEL_MISMATCH`, `MODEL_INVALID`
 */
export async function createServedBaseline(db: Database, catalog: Catalog, version: ModelVersion, { from, to }: Window): Promise<number> {
  const model = await openVersion(db, catalog, version)
  try {
    const { service, outputs } = model
    const rows = await sampleLog(db, { model: version.model, version: version.version, service, outputs, from, to, limit: maxServedRows })
    if (rows.length > 0) await storeServed(db, model, version, rows, { from, to })
    return rows.length
  } finally {
    await model.close()
  }
}

async function storeServed(
  db: Database,
  model: RunnableVersion,
  version: ModelVersion,
  rows: readonly SampledPrediction[],
  { from, to }: Window,
): Promise<void> {
  const { service, outputs } = model
  const entities = entityRows(rows.map(({ entity }) => entity))
  const features = service.features.map((feature, f) => ({
    ...profileColumn(
      feature,
      rows.map(({ values }) => values[f] ?? null),
      entities,
    ),
    statuses: statusCounts(rows, feature.name),
  }))
  const predicted = outputs.map(({ name, type }, o) => ({
    ...profileColumn(
      { name: outputColumn(name), type },
      rows.map((row) => row.outputs[o] ?? null),
      entities,
    ),
    statuses: {},
  }))
  await storeVersionBaseline(db, version.model, version.version, {
    origin: { kind: 'served', from: formatTimestamp(from), to: formatTimestamp(to) },
    rows: rows.length,
    sampledRows: rows.length,
    entities: entities.length,
    effects: await featureEffects(model, rows.map(({ values }) => values).filter(model.accepts), 'logged predictions'),
    columns: [...features, ...predicted],
  })
}

function statusCounts(rows: readonly SampledPrediction[], feature: string): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const { statuses } of rows) {
    const status = statuses[feature]
    const name = typeof status === 'string' ? status : 'PRESENT'
    counts[name] = (counts[name] ?? 0) + 1
  }
  return counts
}
