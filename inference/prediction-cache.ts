import { LRUCache } from 'lru-cache'
import { LockstepError } from '../kernel/errors.ts'
import type { CacheSettings } from '../registry/load/definition-set.ts'
import type { BatchedModel } from './batched-model.ts'
import type { Prediction } from './load-model.ts'
import type { FeatureRow } from './tensor-writer.ts'

export interface PredictionCacheOptions extends CacheSettings {
  /** The cache key of a row. */
  readonly keyOf: (row: FeatureRow) => string
  /** Milliseconds. */
  readonly now: () => number
  /**
   * Called for each call with the numbers of rows that were cached, that shared a prediction in progress, and that had
   * to be run.
   */
  readonly onLookups: (hits: number, shared: number, misses: number) => void
}

export interface PredictionCache {
  readonly predict: BatchedModel['predict']
  /** The number of cached predictions. */
  readonly size: number
  /** Clears the cache. Predictions in progress are not cached. */
  forget(): void
  /** Clears the cache and stops caching. */
  close(): void
}

/** The maximum size of one cache, independent of `maxEntries`. */
const maxBytes = 256 * 1024 * 1024
/** The size of an entry's key and bookkeeping. */
const entryBytes = 200

/**
 * Caches the predictions of one model version by the model's input values. The least recently used entry is evicted
 * first. No entry is kept longer than twice its TTL. Requests for a row whose prediction is in progress share that
 * prediction. The missing rows of a call run as one job, which is why `fetchMethod` of `lru-cache` (one call per key)
 * is not used.
 */
export function createPredictionCache(predict: BatchedModel['predict'], options: PredictionCacheOptions): PredictionCache {
  const { keyOf, now, onLookups } = options
  const ttlMs = Math.max(1, Math.round(options.ttlMicros / 1000))
  const making = new Map<string, Promise<Prediction>>()
  const kept = new LRUCache<string, Prediction>({
    maxSize: maxBytes,
    sizeCalculation: bytesOf,
    // `lru-cache` reserves memory for this many at once
    max: Math.min(options.maxEntries, Math.floor(maxBytes / entryBytes)),
    ttl: ttlMs,
    ttlResolution: 0,
    perf: { now },
  })
  /** How often the cache was cleared. */
  let generation = 0
  let closed = false
  let sweep: NodeJS.Timeout | null = null

  function keep(key: string, prediction: Prediction): void {
    kept.set(key, prediction)
    sweep ??= setTimeout(dropOld, ttlMs).unref()
  }

  function dropOld(): void {
    kept.purgeStale()
    sweep = kept.size > 0 ? setTimeout(dropOld, ttlMs).unref() : null
  }

  /** Runs the missing rows as one job. */
  async function make(rows: readonly FeatureRow[], keys: readonly string[]): Promise<readonly Prediction[]> {
    const begun = generation
    try {
      const predictions = await predict(rows)
      if (!closed && generation === begun) for (const [index, key] of keys.entries()) keep(key, predictions[index] as Prediction)
      return predictions
    } finally {
      if (generation === begun) for (const key of keys) making.delete(key)
    }
  }

  function forget(): void {
    generation++
    if (sweep !== null) clearTimeout(sweep)
    sweep = null
    kept.clear()
    // callers that share a prediction already hold its promise
    making.clear()
  }

  async function sharedWith(other: Promise<Prediction>, row: FeatureRow): Promise<Prediction> {
    try {
      return await other
    } catch (error) {
      // other rows of that job may have caused the failure
      if (error instanceof LockstepError && error.code === 'MODEL_FAILED') return (await predict([row]))[0] as Prediction
      throw error
    }
  }

  return {
    async predict(rows) {
      const known = rows.map((row) => {
        const key = keyOf(row)
        return { row, key, found: kept.get(key) ?? null }
      })
      const hits = known.reduce((count, { found }) => (found === null ? count : count + 1), 0)
      if (hits === rows.length) {
        onLookups(hits, 0, 0)
        return known.map(({ found }) => found as Prediction)
      }
      const missing: FeatureRow[] = []
      const keys: string[] = []
      const { promise: made, resolve, reject } = Promise.withResolvers<readonly Prediction[]>()
      const answers = known.map(({ row, key, found }) => {
        if (found !== null) return Promise.resolve(found)
        const other = making.get(key)
        if (other !== undefined) return sharedWith(other, row)
        const index = missing.push(row) - 1
        keys.push(key)
        const mine = made.then((predictions) => predictions[index] as Prediction)
        making.set(key, mine)
        return mine
      })
      onLookups(hits, rows.length - hits - missing.length, missing.length)
      if (missing.length > 0) make(missing, keys).then(resolve, reject)
      return await Promise.all(answers)
    },
    get size() {
      return kept.size
    },
    forget,
    close() {
      closed = true
      forget()
    },
  }
}

function bytesOf(prediction: Prediction): number {
  let bytes = entryBytes
  for (const value of prediction)
    bytes += value instanceof Float32Array ? value.byteLength : typeof value === 'string' ? 2 * value.length : 8
  return bytes
}
