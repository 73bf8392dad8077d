/**
 * Caches the result of `make` for `ms`. Callers that ask while it is being made share that promise. A failure is not
 * cached.
 *
 * @param ms 0: the result is shared while it is being made, but not cached
 */
export function cacheFor<T>(ms: number, make: () => Promise<T>): () => Promise<T> {
  let current: Promise<T> | null = null
  let until = 0
  return () => {
    if (current !== null && performance.now() < until) return current
    const made = make()
    const ended = performance.now() + ms
    current = made
    until = Number.POSITIVE_INFINITY
    made.then(
      () => (until = ended),
      () => (until = 0),
    )
    return made
  }
}
