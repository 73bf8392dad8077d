import { createRandom } from '../../statistics/random.ts'

/** Scores with their labels, in the order in which they came: all of them, or a fair sample of a fixed size. */
export interface ScoreSample {
  /** @param at epoch microseconds */
  add(score: number, label: number, at: number): void
  /** The rows that were added. */
  readonly seen: number
  /** The rows that are kept. */
  readonly size: number
  scores(): Float64Array
  labels(): Uint8Array
  /** Empty unless the sample was made `withTimes`. */
  times(): Float64Array
}

/**
 * Reservoir sampling: every row is kept with the same probability. The same rows in the same order give the same
 * sample. Source: Vitter, ACM TOMS 11 (1985), algorithm R.
 */
export function createScoreSample(limit: number, { withTimes = false }: { readonly withTimes?: boolean } = {}): ScoreSample {
  const random = createRandom(limit)
  let scores = new Float64Array(64)
  let labels = new Uint8Array(64)
  let times = new Float64Array(withTimes ? 64 : 0)
  let seen = 0
  return {
    add(score, label, at) {
      const index = seen < limit ? seen : random.below(seen + 1)
      seen++
      if (index >= limit) return
      if (index === scores.length) {
        const length = Math.min(limit, scores.length * 2)
        scores = copied(new Float64Array(length), scores)
        labels = copied(new Uint8Array(length), labels)
        if (withTimes) times = copied(new Float64Array(length), times)
      }
      scores[index] = score
      labels[index] = label
      if (withTimes) times[index] = at
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
  }
}

function copied<T extends Float64Array | Uint8Array>(into: T, from: T): T {
  into.set(from)
  return into
}
