/**
 * What `make` resolves to, made at most once in `ms` and once at a time: all who ask meanwhile get the same. A failure
 * is not kept.
 *
 * @param ms 0: it is shared while it is being made, and not kept
 */
export function keepFor<T>(ms: number, make: () => Promise<T>): () => Promise<T> {
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
