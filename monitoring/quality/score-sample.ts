import { createRandom } from '../../statistics/random.ts'

/** The attributes of a row besides its score and its label. */
export interface ScoreDetails {
  /** Epoch microseconds. */
  readonly at?: number
  /** The number of its entity, or of a group of entities: few of them, so that memory is bounded. */
  readonly entity?: number
}

/** Scores with their labels, in the order in which they came: all of them, or a fair sample of a fixed size. */
export interface ScoreSample {
  add(score: number, label: number, more?: ScoreDetails): void
  /** The rows that were added. */
  readonly seen: number
  /** The rows that are kept. */
  readonly size: number
  scores(): Float64Array
  labels(): Uint8Array
  /** Empty unless the sample was made `withTimes`. */
  times(): Float64Array
  /** Empty unless the sample was made `withEntities`. */
  entities(): Int32Array
}

/**
 * Reservoir sampling: every row is kept with the same probability. The same rows in the same order give the same
 * sample. Source: Vitter, ACM TOMS 11 (1985), algorithm R.
 */
export function createScoreSample(
  limit: number,
  { withTimes = false, withEntities = false }: { readonly withTimes?: boolean; readonly withEntities?: boolean } = {},
): ScoreSample {
  const random = createRandom(limit)
  let scores = new Float64Array(64)
  let labels = new Uint8Array(64)
  let times = new Float64Array(withTimes ? 64 : 0)
  let entities = new Int32Array(withEntities ? 64 : 0)
  let seen = 0
  return {
    add(score, label, { at = 0, entity = 0 } = {}) {
      const index = seen < limit ? seen : random.below(seen + 1)
      seen++
      if (index >= limit) return
      if (index === scores.length) {
        const length = Math.min(limit, scores.length * 2)
        scores = copied(new Float64Array(length), scores)
        labels = copied(new Uint8Array(length), labels)
        if (withTimes) times = copied(new Float64Array(length), times)
        if (withEntities) entities = copied(new Int32Array(length), entities)
      }
      scores[index] = score
      labels[index] = label
      if (withTimes) times[index] = at
      if (withEntities) entities[index] = entity
    },
    get seen() {
      return seen
    },
    get size() {
      return Math.min(seen, limit)
    },
    scores: () => scores.subarray(0, Math.min(seen, limit)),
    labels: () => labels.subarray(0, Math.min(seen, limit)),
    times: () => times.subarray(0, Math.min(seen, limit)),
    entities: () => entities.subarray(0, Math.min(seen, limit)),
  }
}

function copied<T extends Float64Array | Uint8Array | Int32Array>(into: T, from: T): T {
  into.set(from)
  return into
}
