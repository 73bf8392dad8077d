import type { EntityKey } from '../../kernel/values/entity-key.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Column, Value } from '../../kernel/values/value-type.ts'
import { valueToJson } from '../../kernel/values/value-json.ts'
import type { StoredPrediction } from '../../online/batch-predictions.ts'
import { publishBatch, putPredictions, removePredictions } from '../../online/batch-predictions.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Logger } from '../../runtime/log.ts'
import type { BatchSpec } from './batch-spec.ts'

/** The predictions of a batch in the online store. */
export interface OnlinePredictions {
  put(predictions: ReadonlyMap<EntityKey, StoredPrediction>): Promise<void>
  /** Lets servers answer with them. Repeating it changes nothing. */
  publish(service: ServicePlan): Promise<void>
  clean(): Promise<void>
}

export interface OnlineTools {
  readonly db: Database
  readonly store?: (() => Promise<OnlineStore>) | undefined
  readonly log: Logger
}

/**
 * null: the batch has no online predictions.
 *
 * @throws LockstepError `NOT_READY` where this process has another online store: then another worker has to do it
 */
export async function openOnlinePredictions(
  { db, store: open, log }: OnlineTools,
  job: number,
  { id, request, version, createdAt, store: pinned }: BatchSpec,
): Promise<OnlinePredictions | null> {
  if (request.onlineMicros === null) return null
  const store = await open?.()
  if (store === undefined || (await store.identity()) !== pinned) {
    throw new LockstepError(
      'NOT_READY',
      `The batch "${id}" writes to an online store that this process does not have. Give all workers the same LOCKSTEP_REDIS_URL.`,
    )
  }
  const [freshMicros, place] = [request.onlineMicros, { model: request.model, job }]
  return {
    put: (predictions) => putPredictions(store, place, predictions),
    async publish({ uses }) {
      const entities = [...new Set(uses.map(({ plan }) => plan.spec.entity.name))]
      const erased = await db.kysely
        .selectFrom('lockstep.erasures')
        .select('id')
        .where('entity', 'in', entities)
        .where('requested_at', '>', new Date(createdAt))
        .limit(1)
        .executeTakeFirst()
      if (erased === undefined) return await publishBatch(store, request.model, { id, job, version, entities, freshMicros })
      log.warn({ batch: id }, 'an entity was erased while the batch ran, so its predictions are not served; run it again')
      await removePredictions(store, place)
    },
    clean: () => removePredictions(store, place),
  }
}

/** Gathers the predictions of one part: of each key that of its latest row. */
export function gatherPredictions(outputs: readonly Column[]) {
  const latest = new Map<EntityKey, { readonly time: number; readonly text: string }>()
  return {
    predictions: latest as ReadonlyMap<EntityKey, StoredPrediction>,
    add(key: EntityKey | null, time: number, values: readonly (Value | null)[]): void {
      if (key === null || (latest.get(key)?.time ?? Number.NEGATIVE_INFINITY) > time) return
      latest.set(key, { time, text: JSON.stringify(outputs.map(({ type }, o) => valueToJson(type, values[o] ?? null))) })
    },
  }
}

/**
 * Whether a batch can answer requests from the online store.
 *
 * @throws LockstepError `INVALID_REQUEST` where a row of a request is more than its keys
 */
export function requireStorable(id: string, { id: service, request, uses }: ServicePlan): void {
  if (request.length > 0)
    throw new LockstepError(
      'INVALID_REQUEST',
      `The predictions of the batch "${id}" cannot be served: its service "${service}" takes "${request[0]?.name}" with each request, so a key has more than one prediction. Leave out the online predictions.`,
    )
  if (uses.every(({ key }) => key.length === 0))
    throw new LockstepError(
      'INVALID_REQUEST',
      `The predictions of the batch "${id}" cannot be served: its service "${service}" has no entity key. Leave out the online predictions.`,
    )
}
