import { columnKeys } from '../../kernel/column-keys.ts'
import type { Window } from '../window.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { Column, Value } from '../../kernel/values/value-type.ts'
import { typeName } from '../../kernel/values/value-type.ts'
import type { TrainingColumn } from '../../offline/datasets/training-profile.ts'
import type { EntityRows } from '../../offline/profile/column-profile.ts'
import { entityRows, mostEntities, profileColumn } from '../../offline/profile/column-profile.ts'
import type { ModelVersion } from '../../registry/models/model-versions.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { comparedType, comparedValue } from '../compared-output.ts'
import type { SampledPrediction } from '../prediction-log/sample-log.ts'
import { sampleLog } from '../prediction-log/sample-log.ts'
import { outputColumn } from './baseline.ts'
import { columnsOf, featureEffects } from './feature-effects.ts'
import type { RunnableVersion, VersionTools } from './run-version.ts'
import { withVersion } from './run-version.ts'
import { trainingRows } from './training-rows.ts'
import { storeVersionBaseline } from './store-version-baseline.ts'

/**
 * Makes the baseline of a version's outputs: its predictions for sampled rows of its training set.
 *
 * @returns false where the training set has no baseline, or no row of it has all required features
 * @throws LockstepError `MODEL_MISMATCH`, and why the model does not predict all rows
 */
export async function createOutputBaseline(tools: VersionTools, version: ModelVersion): Promise<boolean> {
  const { dataset } = version
  if (dataset === null) return false
  const { db, catalog } = tools
  return await withVersion(tools, version, async (model) => {
    const accepted = (await trainingRows(db, catalog, dataset, model.service)).filter(({ values }) => model.accepts(values))
    if (accepted.length === 0) return false
    const rows = accepted.map(({ values }) => values)
    const predictions = await model.run(columnsOf(model.service, rows), rows.length)
    const entities = entityRows(accepted.map((row) => row.entities[0] ?? ''))
    const columns = model.outputs.map((output, o) => profileOutput(output, predictions[o] ?? [], entities))
    await storeVersionBaseline(db, version.model, version.version, {
      origin: { kind: 'training predictions', dataset },
      rows: accepted.length,
      sampledRows: accepted.length,
      entities: entities.length,
      effects: await featureEffects(model, rows, 'training set'),
      columns,
    })
    return true
  })
}

const maxServedRows = 20_000

/**
 * Makes a version's baseline from the prediction log: of its features and outputs.
 *
 * @returns how many rows it was made of; 0: there is no row, and no baseline
 * @throws LockstepError `MODEL_MISMATCH`, and why the model does not predict all rows
 */
export async function createServedBaseline(tools: VersionTools, version: ModelVersion, { from, to }: Window): Promise<number> {
  return await withVersion(tools, version, async (model) => {
    const { service, outputs } = model
    const named = { model: version.model, version: version.version, service, outputs }
    const rows = await sampleLog(tools.db, { ...named, from, to, limit: maxServedRows })
    if (rows.length > 0) await storeServed(tools.db, model, version, rows, { from, to })
    return rows.length
  })
}

async function storeServed(
  db: Database,
  model: RunnableVersion,
  version: ModelVersion,
  rows: readonly SampledPrediction[],
  { from, to }: Window,
): Promise<void> {
  const { service, outputs } = model
  const { list, ofFeature } = columnKeys(service)
  const entities = list.map((_, k) => entityRows(rows.map((row) => row.entities[k] ?? '')))
  const features = service.features.map((feature, f) => ({
    ...profileColumn(
      feature,
      rows.map(({ values }) => values[f] ?? null),
      entities[ofFeature[f] ?? 0] ?? [],
    ),
    statuses: statusCounts(rows, feature.name),
  }))
  const predicted = outputs.map((output, o) =>
    profileOutput(
      output,
      rows.map((row) => row.outputs[o] ?? null),
      entities[0] ?? [],
    ),
  )
  await storeVersionBaseline(db, version.model, version.version, {
    origin: { kind: 'served', from: formatTimestamp(from), to: formatTimestamp(to) },
    rows: rows.length,
    sampledRows: rows.length,
    entities: mostEntities(entities),
    effects: await featureEffects(model, rows.map(({ values }) => values).filter(model.accepts), 'logged predictions'),
    columns: [...features, ...predicted],
  })
}

function profileOutput({ name, type }: Column, values: readonly (Value | null)[], entities: EntityRows): TrainingColumn {
  const profile = profileColumn({ name: outputColumn(name), type: comparedType(type) }, values.map(comparedValue), entities)
  return { ...profile, type: typeName(type), statuses: {} }
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
