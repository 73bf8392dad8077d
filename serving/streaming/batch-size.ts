import type { StreamMessage } from '../../runtime/streams/stream-consumer.ts'

/** How many messages and bytes a batch may have. */
const [maxMessages, minMessages, maxBytes] = [500, 50, 8 * 1024 * 1024]
/** How long a batch should take, milliseconds. */
const boxMs = 50

/**
 * How many messages are taken at once: as many as take about 50 ms, from 50 to 500, or about 8 MB.
 * Most of the time of a small batch does not depend on its size.
 */
export interface BatchSize {
  limit(): number
  /** How long a batch took. */
  note(messages: readonly StreamMessage[], ms: number): void
}

export function createBatchSize(): BatchSize {
  let limit = minMessages
  return {
    limit: () => limit,
    note(messages, ms) {
      const bytes = messages.reduce((sum, { body }) => sum + (body?.length ?? 0), 0)
      const byBytes = Math.floor((maxBytes * messages.length) / Math.max(1, bytes))
      // of a batch that was not full, the time says nothing about a larger one
      const byTime = ms > boxMs ? Math.floor((messages.length * boxMs) / ms) : messages.length >= limit ? limit * 2 : limit
      limit = Math.max(1, Math.min(maxMessages, byBytes, Math.max(minMessages, byTime)))
    },
  }
}
