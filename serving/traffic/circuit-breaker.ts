/**
 * Stands before something that may be away, and does not ask it while it is: whoever waited for it would wait for nothing, and it would have no time to come back.
 *
 *     closed --`failures` in a row--> open --after its time--> half open --one that succeeds--> closed
 *                                      ^                           |
 *                                      +-------one that fails------+  (for twice as long, up to `openMostMs`)
 *
 * While it is half open, one call tries and the others are refused.
 */
export interface Breaker {
  /** @throws what `work` throws, or `refuse()` without it having begun */
  run<T>(work: () => Promise<T>): Promise<T>
  readonly isOpen: boolean
  /** Closes it: somebody else has seen that it answers. */
  reset(): void
}

export interface BreakerOptions {
  /** Whether an error means that it is away; others count as answers. */
  readonly isAway: (error: unknown) => boolean
  /** What a call fails with that is not made. */
  readonly refuse: () => Error
  /** Milliseconds, monotonic. */
  readonly now: () => number
  readonly onChange?: (open: boolean) => void
}

const failuresToOpen = 5
const openLeastMs = 500
const openMostMs = 5000

export function createBreaker({ isAway, refuse, now, onChange }: BreakerOptions): Breaker {
  let failures = 0
  let openMs = openLeastMs
  /** null: closed. */
  let openUntil: number | null = null
  let trying = false

  function failed(): void {
    failures++
    if (openUntil === null && failures < failuresToOpen) return
    openMs = openUntil === null ? openLeastMs : Math.min(openMs * 2, openMostMs)
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
    if (isAway(error)) failed()
    else answered()
  }

  // one that began before it opened says nothing of now
  const succeeded = () => {
    if (openUntil === null) failures = 0
  }
  const rejected = (error: unknown) => {
    if (openUntil === null) note(error)
  }

  /** While it is half open. */
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
