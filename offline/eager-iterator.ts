/**
 * The same iterable, with its first element asked for at once rather than by its first reader: a query has begun to sort by then. To be read once. Where it is never read,
 * an error of its first element is told to nobody; what ends its source ends it.
 */
export function startNow<T>(iterable: AsyncIterable<T>): AsyncIterable<T> {
  const rest = iterable[Symbol.asyncIterator]()
  const first = rest.next()
  first.catch(() => undefined)
  return {
    async *[Symbol.asyncIterator]() {
      try {
        for (let next = await first; next.done !== true; next = await rest.next()) yield next.value
      } finally {
        await rest.return?.()
      }
    },
  }
}
