import { messageOf } from '../../kernel/errors.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Logger } from '../../runtime/log.ts'
import type { StreamConsumer, StreamMessage } from '../../runtime/streams/stream-consumer.ts'
import { holdMessages, takeShare } from '../../runtime/streams/hold-messages.ts'
import type { StreamMetrics } from './stream-metrics.ts'
import type { StreamSpec } from '../../kernel/specs/stream-spec.ts'
import { createKeepTrying } from '../../runtime/keep-trying.ts'
import { createRepeats } from '../../runtime/repeats.ts'
import { createDeadLetterLog, keepDeadLetters } from './dead-letters.ts'
import type { MessageWriterOptions, WrittenMessages } from './message-writer.ts'
import { createMessageWriter } from './message-writer.ts'
import { watchStream } from './watch-stream.ts'

/** What is held at once: so many messages, and about so many bytes, by the size of those that came last. */
const maxMessages = 500
const firstMessages = 50
const maxBytes = 8 * 1024 * 1024

export interface ConsumeStreamDeps {
  readonly db: Database
  readonly consumer: StreamConsumer
  readonly source: SourceSpec
  readonly spec: StreamSpec
  /**
   * Folds what some transactions wrote to the source into the online states. If a fold fails, the next run of each view
   * folds the rows.
   */
  readonly fold: (xids: readonly number[]) => Promise<void>
  readonly metrics: StreamMetrics
  readonly log: Logger
  /** Epoch microseconds. */
  readonly clock: () => number
}

export interface ConsumeStreamOptions extends MessageWriterOptions {
  readonly signal: AbortSignal
}

/**
 * Reads the stream of a source until the signal, one batch after another, so never faster than it commits. It writes
 * the messages' events to the source's table, folds them, and only then acknowledges them.
 *
 * - If the process dies in between, another one gets the messages again. An event is written once, by its id.
 * - A message that is at fault becomes a dead letter. After any other failure the same batch is tried again, without
 *   end.
 */
export async function consumeStream(deps: ConsumeStreamDeps, options: ConsumeStreamOptions): Promise<void> {
  const { db, consumer, source, spec, metrics, log } = deps
  const { signal } = options
  const retry = createKeepTrying({
    signal,
    onFailure(error, isNew) {
      metrics.failure(source.name)
      if (isNew) log.error({ source: source.name, error: messageOf(error) }, 'the stream of a source waits')
    },
    onOver: () => log.info({ source: source.name }, 'the stream of a source is being read again'),
  })
  const write = createMessageWriter(deps, options)
  const foldFailures = createRepeats()
  const logDeadLetters = createDeadLetterLog((line) => log.warn({ source: source.name, ...line }, 'a stream message became a dead letter'))
  let limit = firstMessages
  const watch = watchStream({
    db,
    consumer,
    source: source.name,
    spec,
    onLag: (lag) => metrics.lag(source.name, lag),
    onDeleted(letters) {
      metrics.messages(source.name, { appended: 0, duplicate: 0, dead: letters.length })
      logDeadLetters(letters)
    },
  })

  async function commit(messages: readonly StreamMessage[]): Promise<WrittenMessages> {
    const written = await write(messages)
    await keepDeadLetters(db, source.name, spec, written.letters)
    return written
  }

  async function fold(xids: readonly number[]): Promise<void> {
    if (xids.length === 0) return
    // in one go: while the store is down each would wait for it again, and what waits for too long goes to another
    // reader
    await deps.fold([...new Set(xids)]).catch((error: unknown) => {
      const batches = foldFailures(messageOf(error))
      if (batches === null) return
      log.warn(
        { source: source.name, batches, error: messageOf(error) },
        'events of a stream are not online yet: the next run of each view folds them',
      )
    })
  }

  try {
    await watch.first(signal)
    while (!signal.aborted) {
      const messages = await retry(() => takeShare(consumer, limit, signal))
      if (messages === null) break
      if (messages.length === 0) continue
      const written = await holdMessages(consumer, messages, () => retry(() => commit(messages)))
      if (written === null) break
      await fold(written.xids)
      const { appended, duplicate, letters } = written
      metrics.messages(source.name, { appended, duplicate, dead: letters.length })
      logDeadLetters(letters)
      // what is not acknowledged comes again, and is known
      await consumer.acknowledge(messages).catch(() => undefined)
      const bytes = messages.reduce((sum, { body }) => sum + (body?.length ?? 0), 0)
      limit = Math.max(1, Math.min(maxMessages, Math.floor((maxBytes * messages.length) / Math.max(1, bytes))))
    }
  } finally {
    watch.close()
  }
}
