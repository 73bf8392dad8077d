import { LockstepError } from '../kernel/errors.ts'
import type { CacheSettings } from '../registry/definition-set.ts'
import type { BatchedModel } from './batched-model.ts'
import type { Prediction } from './load-model.ts'
import type { FeatureRow } from './tensor-writer.ts'

export interface PredictionCacheOptions extends CacheSettings {
  /** Tells rows apart. */
  readonly keyOf: (row: FeatureRow) => string
  /** Milliseconds. */
  readonly now: () => number
  /** Told of each call: rows whose answer was there, that shared one which was being made, and that had to be run. */
  readonly onLookups: (hits: number, shared: number, misses: number) => void
}

export interface PredictionCache {
  readonly predict: BatchedModel['predict']
  /** Forgets all, also what is being made. */
  forget(): void
  /** Forgets all, for good. */
  close(): void
}

interface Kept {
  readonly prediction: Prediction
  readonly untilMs: number
}

/** Of all answers together, whatever number of them is allowed. */
const maxBytes = 256 * 1024 * 1024
/** What an entry takes beside its values. */
const entryBytes = 200

/**
 * Keeps the answers of one version of a model by the values that it was fed. Rows that are asked for while their answer is being made share it.
 *
 * Entries live in two generations: a hit moves an entry to the younger one, and when that holds half of what is allowed, or the ttl has passed, the elder
 * is dropped as a whole and the younger takes its place. So what was used least lately goes first, nothing is swept, and nothing is held for more than
 * twice its ttl.
 */
export function createPredictionCache(predict: BatchedModel['predict'], options: PredictionCacheOptions): PredictionCache {
  const { keyOf, now, onLookups } = options
  const ttlMs = options.ttlMicros / 1000
  const youngMost = Math.max(1, Math.floor(options.maxEntries / 2))
  const making = new Map<string, Promise<Prediction>>()
  let young = new Map<string, Kept>()
  let old = new Map<string, Kept>()
  let youngBytes = 0
  /** How often all was forgotten. */
  let forgotten = 0
  let closed = false
  let timer: NodeJS.Timeout | null = null

  function turn(): void {
    // a cache of one entry has no room for an elder
    old = youngMost * 2 > options.maxEntries ? new Map() : young
    young = new Map()
    youngBytes = 0
    if (timer !== null) clearTimeout(timer)
    timer = old.size > 0 ? setTimeout(turn, ttlMs).unref() : null
  }

  function find(key: string): Prediction | null {
    const kept = young.get(key) ?? old.get(key)
    if (kept === undefined || kept.untilMs <= now()) return null
    if (!young.has(key)) {
      old.delete(key)
      keep(key, kept)
    }
    return kept.prediction
  }

  function keep(key: string, kept: Kept): void {
    const bytes = entryBytes + bytesOf(kept.prediction)
    if (young.size >= youngMost || youngBytes + bytes > maxBytes / 2) turn()
    young.set(key, kept)
    youngBytes += bytes
    timer ??= setTimeout(turn, ttlMs).unref()
  }

  /** Runs what is missing, as one job of its caller. */
  async function make(rows: readonly FeatureRow[], keys: readonly string[]): Promise<readonly Prediction[]> {
    const before = forgotten
    try {
      const predictions = await predict(rows)
      const untilMs = now() + ttlMs
      if (!closed && forgotten === before)
        for (const [index, key] of keys.entries()) keep(key, { prediction: predictions[index] as Prediction, untilMs })
      return predictions
    } finally {
      if (forgotten === before) for (const key of keys) making.delete(key)
    }
  }

  function forget(): void {
    forgotten++
    if (timer !== null) clearTimeout(timer)
    timer = null
    young = new Map()
    old = new Map()
    youngBytes = 0
    // who shares one holds it already
    making.clear()
  }

  async function sharedWith(other: Promise<Prediction>, row: FeatureRow): Promise<Prediction> {
    try {
      return await other
    } catch (error) {
      // it may have failed for the rows beside it
      if (error instanceof LockstepError && error.code === 'MODEL_FAILED') return (await predict([row]))[0] as Prediction
      throw error
    }
  }

  return {
    async predict(rows) {
      const known = rows.map((row) => {
        const key = keyOf(row)
        return { row, key, found: find(key) }
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
    forget,
    close() {
      closed = true
      forget()
    },
  }
}

function bytesOf(prediction: Prediction): number {
  let bytes = 0
  for (const value of prediction)
    bytes += value instanceof Float32Array ? value.byteLength : typeof value === 'string' ? 2 * value.length : 8
  return bytes
}
