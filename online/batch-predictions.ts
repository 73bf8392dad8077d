import type { EntityKey } from '../kernel/values/entity-key.ts'
import type { DefinitionId } from '../kernel/specs/view-spec.ts'
import type { OnlineKey, OnlineStore } from './store.ts'
import { checkpointEntity, noBytes } from './store.ts'

/** What the online store says of the predictions of a model's newest complete batch. */
export interface StoredBatch {
  /** The id of the batch. */
  readonly id: string
  readonly job: number
  readonly version: number
  /** The names of the entities that its rows belong to. */
  readonly entities: readonly string[]
  /** How long a prediction is fresh after the moment of its row. */
  readonly freshMicros: number
  /** The job before, whose predictions are removed after this one has taken its place; null: none. */
  readonly previous: number | null
}

/** A prediction as stored. */
export interface StoredPrediction {
  /** The moment of the row, epoch microseconds. */
  readonly time: number
  /** The outputs as the text of a JSON object. */
  readonly text: string
}

const entity = 'prediction'
const entriesPerWrite = 1_000
const timeBytes = 8

/** No view has such a name. */
function viewOf(model: string, job: number): DefinitionId {
  return `~${model}@${job}`
}

function pointerOf(model: string): OnlineKey {
  return { view: viewOf(model, 0), entity: checkpointEntity, key: '' }
}

/**
 * Predictions of batches in the online store, by the keys of the service. The predictions of each batch have their own
 * keys, and one more key of each model names the batch that is in force:
 *
 *     put, by part -> publish -> the predictions of the batch before are removed
 */
export async function putPredictions(
  store: OnlineStore,
  { model, job }: { readonly model: string; readonly job: number },
  predictions: ReadonlyMap<EntityKey, StoredPrediction>,
): Promise<void> {
  const entries = [...predictions]
  for (let from = 0; from < entries.length; from += entriesPerWrite) {
    let left = entries.slice(from, from + entriesPerWrite).map(([key, { time, text }]) => ({
      view: viewOf(model, job),
      entity,
      key,
      time,
      bytes: encode(time, text),
      expected: null as Buffer | null,
    }))
    while (left.length > 0) {
      const stored = await store.write(left)
      const refused = left.filter((_, i) => stored[i] !== true)
      if (refused.length === 0) break
      const present = await store.read(refused)
      // of a key that is in two parts, the prediction of the later row stays
      left = refused.flatMap((entry, i) => {
        const bytes = present[i] ?? null
        return bytes !== null && decode(bytes).time >= entry.time ? [] : [{ ...entry, expected: bytes }]
      })
    }
  }
}

/** Puts a batch into force, unless a newer one is. Repeating it changes nothing. */
export async function publishBatch(store: OnlineStore, model: string, batch: Omit<StoredBatch, 'previous'>): Promise<void> {
  for (;;) {
    const { bytes, batch: present } = await readPointer(store, model)
    if (present !== null && present.job > batch.job) {
      await store.removeView(viewOf(model, batch.job))
      return
    }
    if (present?.job === batch.job) {
      if (present.previous !== null) await store.removeView(viewOf(model, present.previous))
      return
    }
    const value = Buffer.from(JSON.stringify({ ...batch, previous: present?.job ?? null } satisfies StoredBatch))
    await store.write([{ ...pointerOf(model), expected: bytes, bytes: value }])
  }
}

/** Removes what a batch that failed has put, unless it is in force. */
export async function removePredictions(
  store: OnlineStore,
  { model, job }: { readonly model: string; readonly job: number },
): Promise<void> {
  if ((await readStoredBatch(store, model))?.job !== job) await store.removeView(viewOf(model, job))
}

/** Removes all predictions of a model's batches that are in force: servers predict again. */
export async function dropBatch(store: OnlineStore, model: string): Promise<boolean> {
  for (;;) {
    const { bytes, batch } = await readPointer(store, model)
    if (bytes === null) return false
    const [removed] = await store.write([{ ...pointerOf(model), expected: bytes, bytes: noBytes }])
    if (removed !== true) continue
    if (batch !== null) for (const job of [batch.job, batch.previous]) if (job !== null) await store.removeView(viewOf(model, job))
    return true
  }
}

/** The batch of a model that is in force; null: there is none. */
export async function readStoredBatch(store: OnlineStore, model: string): Promise<StoredBatch | null> {
  return (await readPointer(store, model)).batch
}

/** @returns by index of `keys`; null: the batch has no prediction for it */
export async function readPredictions(
  store: OnlineStore,
  model: string,
  { job }: StoredBatch,
  keys: readonly EntityKey[],
): Promise<(StoredPrediction | null)[]> {
  const stored = await store.read(
    keys.map((key) => ({ view: viewOf(model, job), entity, key })),
    { behind: true },
  )
  return stored.map((bytes) => (bytes === null ? null : decode(bytes)))
}

async function readPointer(
  store: OnlineStore,
  model: string,
): Promise<{ readonly bytes: Buffer | null; readonly batch: StoredBatch | null }> {
  const [bytes = null] = await store.read([pointerOf(model)])
  // only publishBatch writes it
  return { bytes, batch: bytes === null ? null : (JSON.parse(bytes.toString()) as StoredBatch) }
}

function encode(time: number, text: string): Buffer {
  const bytes = Buffer.allocUnsafe(timeBytes + Buffer.byteLength(text))
  bytes.writeDoubleBE(time)
  bytes.write(text, timeBytes)
  return bytes
}

function decode(bytes: Buffer): StoredPrediction {
  return { time: bytes.readDoubleBE(), text: bytes.toString('utf8', timeBytes) }
}
