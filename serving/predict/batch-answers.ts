import type { EntityKey } from '../../kernel/values/entity-key.ts'
import { valueFromJson } from '../../kernel/values/value-json.ts'
import type { Column, Value } from '../../kernel/values/value-type.ts'
import type { Prediction } from '../../inference/load-model.ts'
import type { StoredBatch, StoredPrediction } from '../../online/batch-predictions.ts'
import { readPredictions, readStoredBatch } from '../../online/batch-predictions.ts'
import type { OnlineStore } from '../../online/store.ts'
import { bindVersion } from '../../registry/models/bind-version.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { ModelVersion } from '../../registry/models/model-versions.ts'
import type { VersionReference } from '../../registry/models/pick-version.ts'
import { pickVersion } from '../../registry/models/pick-version.ts'
import { keyOfEntity } from '../features/prediction-key.ts'
import { parseEntities } from '../features/read-request.ts'
import type { ModelHost } from '../models/model-host.ts'
import { routingRules } from '../rollouts/routing-rules.ts'

/** A prediction of a batch that is fresh. */
export interface BatchAnswer {
  /** The batch. */
  readonly id: string
  /** The moment of its row, epoch microseconds. */
  readonly asOf: number
  readonly prediction: Prediction
}

export interface BatchAnswers {
  readonly version: ModelVersion
  readonly outputs: readonly Column[]
  /** By row of the request; null: the batch has no fresh prediction of it. */
  readonly rows: readonly (BatchAnswer | null)[]
}

export interface BatchAnswerTools {
  readonly models: Pick<ModelHost, 'answering'>
  readonly store: () => OnlineStore
  /** Epoch microseconds. */
  readonly clock: () => number
}

/**
 * The predictions of the newest batch of a model for the rows of a request. null: predict the rows, because there is
 * no batch of the version that answers, a rollout or an experiment routes the model, or the store is unavailable.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`, `INVALID_ENTITY` and what `parseEntities` throws
 */
export async function readBatchAnswers(
  { models, store, clock }: BatchAnswerTools,
  catalog: Catalog,
  name: string,
  asked: VersionReference | undefined,
  entities: readonly unknown[],
): Promise<BatchAnswers | null> {
  const model = catalog.model(name)
  // a share of its rows must reach the versions that are compared
  if (routingRules(catalog, model).length > 0) return null
  const version = asked === undefined ? models.answering(catalog, model) : pickVersion(model, asked)
  if (version === null) return null
  const { service, binding } = bindVersion(catalog, model.spec, version)
  const keys = parseEntities(service, entities).map((entity) => keyOfEntity(service, entity))
  const found = await stored(store, name, version.version, keys)
  if (found === null) return null
  const { batch, predictions } = found
  const now = clock()
  const { outputs } = binding
  return {
    version,
    outputs,
    rows: predictions.map((prediction) => {
      if (prediction === null || prediction.time > now || prediction.time + batch.freshMicros < now) return null
      // only batches write it
      const values = JSON.parse(prediction.text) as readonly unknown[]
      return {
        id: batch.id,
        asOf: prediction.time,
        prediction: outputs.map(({ type, name: output }, o) => valueFromJson(type, values[o] ?? null, `The output "${output}"`) as Value),
      }
    }),
  }
}

async function stored(
  open: () => OnlineStore,
  model: string,
  version: number,
  keys: readonly (EntityKey | null)[],
): Promise<{ readonly batch: StoredBatch; readonly predictions: readonly (StoredPrediction | null)[] } | null> {
  try {
    const store = open()
    const batch = await readStoredBatch(store, model)
    if (batch === null || batch.version !== version) return null
    const wanted = keys.filter((key) => key !== null)
    const found = await readPredictions(store, model, batch, wanted)
    let next = 0
    return { batch, predictions: keys.map((key) => (key === null ? null : (found[next++] ?? null))) }
  } catch {
    // the model answers without it, and what is wrong with the store is reported by the read of features
    return null
  }
}
