/**
 * A circuit breaker: it refuses calls of a dependency that keeps failing. Callers do not wait in vain, and the
 * dependency gets time to recover.
 *
 *     closed --`failures` in a row--> open --after its time--> half open --one that succeeds--> closed
 *                                      ^                           |
 *                                      +-------one that fails------+  (for twice as long, up to `maxOpenMs`)
 *
 * While it is half open, one call tries and the others are refused. In cockatiel (4.0.0) the others wait for that call,
 * so they hold their places while a store is down. Cockatiel also measures open time by the wall clock, cannot be
 * closed from outside, and costs 100 ns more per call.
 */
export interface Breaker {
  /** @throws what `work` throws, or `refuse()` without it having begun */
  run<T>(work: () => Promise<T>): Promise<T>
  readonly isOpen: boolean
  /** Closes it: the dependency is known to answer. */
  reset(): void
}

export interface BreakerOptions {
  /** Whether an error means that the dependency is unavailable; others count as answers. */
  readonly isUnavailable: (error: unknown) => boolean
  /** The error of a call that is not made. */
  readonly refuse: () => Error
  /** Milliseconds, monotonic. */
  readonly now: () => number
  readonly onChange?: (open: boolean) => void
}

const failuresToOpen = 5
const minOpenMs = 500
const maxOpenMs = 5000

export function createBreaker({ isUnavailable, refuse, now, onChange }: BreakerOptions): Breaker {
  let failures = 0
  let openMs = minOpenMs
  /** null: the circuit is closed. */
  let openUntil: number | null = null
  let trying = false

  function failed(): void {
    failures++
    if (openUntil === null && failures < failuresToOpen) return
    openMs = openUntil === null ? minOpenMs : Math.min(openMs * 2, maxOpenMs)
    if (openUntil === null) onChange?.(true)
    openUntil = now() + openMs
  }

  function answered(): void {
    failures = 0
    if (openUntil === null) return
    openUntil = null
    onChange?.(false)
  }

  function note(error: unknown): void {
    if (isUnavailable(error)) failed()
    else answered()
  }

  // a call that began before the circuit opened has an outdated result
  const succeeded = () => {
    if (openUntil === null) failures = 0
  }
  const rejected = (error: unknown) => {
    if (openUntil === null) note(error)
  }

  /** The one call that tries while the circuit is half open. */
  async function probe<T>(work: () => Promise<T>): Promise<T> {
    if (trying || now() < (openUntil ?? 0)) throw refuse()
    trying = true
    try {
      const value = await work()
      answered()
      return value
    } catch (error) {
      note(error)
      throw error
    } finally {
      trying = false
    }
  }

  return {
    run(work) {
      if (openUntil !== null) return probe(work)
      const made = work()
      made.then(succeeded, rejected)
      return made
    },
    get isOpen() {
      return openUntil !== null
    },
    reset: answered,
  }
}
