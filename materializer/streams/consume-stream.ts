import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { SourceSpec } from '../../kernel/view-spec.ts'
import type { Database } from '../../runtime/database.ts'
import type { Logger } from '../../runtime/log.ts'
import type { StreamConsumer, StreamMessage } from '../../runtime/streams/stream-consumer.ts'
import type { StreamMetrics } from './stream-metrics.ts'
import type { StreamSpec } from '../../kernel/stream-spec.ts'
import { backoffMs, jitter, sleep } from '../../runtime/async.ts'
import { appendEvents } from '../append-events.ts'
import type { SourceEvent } from '../event-reader.ts'
import { createEventReader } from '../event-reader.ts'
import type { EventTable } from '../event-table.ts'
import { readEventTable } from '../event-table.ts'
import type { DeadLetter } from './dead-letters.ts'
import { keepDeadLetters, reasonOf } from './dead-letters.ts'
import { messageEvent, placeOf } from './message-event.ts'

/** What is held at once: so many messages, and about so many bytes, by the size of those that came last. */
const maxMessages = 500
const firstMessages = 50
const maxBytes = 8 * 1024 * 1024
const lagMs = 5_000
const retryBackoff = { firstMs: 100, maxMs: 5_000 }
/** Of more transactions than that, whose events came again, the next run of a view folds what is not folded. */
const foldedAgain = 16

export interface ConsumeStreamDeps {
  readonly db: Database
  readonly consumer: StreamConsumer
  readonly source: SourceSpec
  readonly spec: StreamSpec
  /**
   * Folds what some transactions wrote to the source into the online states. What fails is left to the next run of each
   * view.
   */
  readonly fold: (xids: readonly number[]) => Promise<void>
  readonly metrics: StreamMetrics
  readonly log: Logger
  /** Epoch microseconds. */
  readonly clock: () => number
}

export interface ConsumeStreamOptions {
  readonly signal: AbortSignal
  /** How far after its receipt an event may say it happened, microseconds. */
  readonly futureMicros: number
  /** A longer message is a dead letter. */
  readonly messageLimitBytes: number
}

/**
 * Reads the stream of a source until the signal, one batch after another, so never faster than it commits: writes the
 * messages' events to the source's table, folds them, and only then acknowledges them. Who dies in between leaves them
 * to another, and an event that comes again is known by its id. A message that is at fault itself becomes a dead
 * letter; what else fails is tried again with the same batch for as long as it takes.
 */
export async function consumeStream(deps: ConsumeStreamDeps, options: ConsumeStreamOptions): Promise<void> {
  const { db, consumer, source, spec, metrics, log } = deps
  const { signal } = options
  const retry = createRetry(deps, signal)
  let table: EventTable | null = null
  let limit = firstMessages
  const lagTimer = setInterval(() => {
    consumer.lag().then(
      (lag) => metrics.lag(source.name, lag),
      () => undefined, // reading it fails, too
    )
  }, lagMs).unref()

  async function write(events: readonly SourceEvent[], messages: readonly StreamMessage[]): Promise<Written> {
    try {
      table ??= await readEventTable(db, source)
      const { xid, duplicates } = await appendEvents(db, table, events, { to: 'both' })
      const known = duplicates.filter((each) => each !== null)
      const again = new Set(known)
      const duplicate = known.length
      const xids = [...(xid === null ? [] : [xid]), ...(again.size > foldedAgain ? [] : again)]
      return { xids, appended: events.length - duplicate, duplicate, letters: [] }
    } catch (error) {
      table = null
      if (!(error instanceof LockstepError) || error.code !== 'INVALID_ROW') throw error
      const [message] = messages
      if (events.length === 1 && message !== undefined) return { xids: [], appended: 0, duplicate: 0, letters: [letter(message, error)] }
      // the one that is at fault must not hold up the others
      const half = events.length >> 1
      const first = await write(events.slice(0, half), messages.slice(0, half))
      const second = await write(events.slice(half), messages.slice(half))
      return {
        xids: [...first.xids, ...second.xids],
        appended: first.appended + second.appended,
        duplicate: first.duplicate + second.duplicate,
        letters: [...first.letters, ...second.letters],
      }
    }
  }

  async function commit(messages: readonly StreamMessage[]): Promise<Written> {
    table ??= await readEventTable(db, source)
    const read = createEventReader(table, options)
    const receivedAt = deps.clock()
    const events: SourceEvent[] = []
    const sound: StreamMessage[] = []
    const letters: DeadLetter[] = []
    for (const message of messages) {
      try {
        const event = read(messageEvent(message.body, placeOf(spec, message.id), options.messageLimitBytes), 0, receivedAt)
        events.push(event)
        sound.push(message)
      } catch (error) {
        letters.push(letter(message, error))
      }
    }
    const written = events.length === 0 ? nothing : await write(events, sound)
    await keepDeadLetters(db, source.name, spec, [...letters, ...written.letters])
    return { ...written, letters: [...letters, ...written.letters] }
  }

  async function fold(xids: readonly number[]): Promise<void> {
    if (xids.length === 0) return
    // in one go: while the store is away each would wait for it anew, and what waits for too long goes to another
    // reader
    await deps.fold([...new Set(xids)]).catch((error: unknown) => {
      log.warn(
        { source: source.name, error: messageOf(error) },
        'events of a stream are not online yet: the next run of each view folds them',
      )
    })
  }

  try {
    while (!signal.aborted) {
      const messages = await retry(() => consumer.take(limit))
      if (messages === null) break
      if (messages.length === 0) continue
      const written = await retry(() => commit(messages))
      if (written === null) break
      await fold(written.xids)
      const { appended, duplicate, letters } = written
      metrics.messages(source.name, { appended, duplicate, dead: letters.length })
      for (const { message, error } of letters) log.warn({ source: source.name, message, error }, 'a stream message became a dead letter')
      // what is not acknowledged comes again, and is known
      await consumer.acknowledge(messages).catch(() => undefined)
      const bytes = messages.reduce((sum, { body }) => sum + (body?.length ?? 0), 0)
      limit = Math.max(1, Math.min(maxMessages, Math.floor((maxBytes * messages.length) / Math.max(1, bytes))))
    }
  } finally {
    clearInterval(lagTimer)
  }
}

interface Written {
  /** The transactions that wrote the events, of those that were there too. */
  readonly xids: readonly number[]
  readonly appended: number
  readonly duplicate: number
  readonly letters: readonly DeadLetter[]
}

const nothing: Written = { xids: [], appended: 0, duplicate: 0, letters: [] }

/**
 * Runs something until it works; null where the signal comes first. Says once what is wrong, and once that it is over.
 */
function createRetry({ source, metrics, log }: ConsumeStreamDeps, signal: AbortSignal) {
  let reported: string | null = null
  return async <T>(action: () => Promise<T>): Promise<T | null> => {
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        const result = await action()
        if (reported !== null) log.info({ source: source.name }, 'the stream of a source is being read again')
        reported = null
        return result
      } catch (error) {
        if (signal.aborted) break
        metrics.failure(source.name)
        if (reported !== messageOf(error)) log.error({ source: source.name, error: messageOf(error) }, 'the stream of a source waits')
        reported = messageOf(error)
        await sleep(jitter(backoffMs(failures, retryBackoff)), { signal })
      }
    }
    return null
  }
}

function letter({ id, body }: StreamMessage, error: unknown): DeadLetter {
  return { message: id, body, reason: reasonOf(error), error: messageOf(error) }
}
