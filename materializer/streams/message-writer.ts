import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { StreamSpec } from '../../kernel/specs/stream-spec.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { StreamMessage } from '../../runtime/streams/stream-consumer.ts'
import { appendEvents } from '../events/append-events.ts'
import { createClockCheck } from '../clock-behind.ts'
import type { SourceEvent } from '../events/event-reader.ts'
import { createEventReader } from '../events/event-reader.ts'
import type { EventTable } from '../events/event-table.ts'
import { readEventTable } from '../events/event-table.ts'
import { maxFoldedAgain } from '../events/fold-transactions.ts'
import type { DeadLetter } from './dead-letters.ts'
import { reasonOf } from './dead-letters.ts'
import { messageEvent, messageEventId } from './message-event.ts'

export interface MessageWriterDeps {
  readonly db: Database
  readonly source: SourceSpec
  readonly spec: StreamSpec
  /** Epoch microseconds. */
  readonly clock: () => number
}

export interface MessageWriterOptions {
  /** How far after its receipt an event may say it happened, microseconds. */
  readonly futureMicros: number
  /** A longer message is a dead letter. */
  readonly messageLimitBytes: number
}

/** What was written of some messages. */
export interface WrittenMessages {
  /** The transactions that wrote the events, of those that were there too. */
  readonly xids: readonly number[]
  readonly appended: number
  readonly duplicate: number
  /** The messages whose events are in the table, in their order. */
  readonly events: readonly MessageEvent[]
  /** The others. */
  readonly letters: readonly DeadLetter[]
}

export interface MessageEvent {
  readonly message: StreamMessage
  /** What the message says, with the id of its event. */
  readonly json: Readonly<Record<string, unknown>>
}

interface ReadEvent extends MessageEvent {
  readonly event: SourceEvent
}

/**
 * Writes the events of a stream's messages to the source's table.
 *
 * @returns a function that commits the events of some messages; each event is there once, however often it comes
 * @throws LockstepError (the function) what `appendEvents` throws, but for `INVALID_ROW`; `NOT_READY` if the clock of
 *   this process is so far behind that it takes an event for one of the future
 */
export function createMessageWriter(
  { db, source, spec, clock }: MessageWriterDeps,
  options: MessageWriterOptions,
): (messages: readonly StreamMessage[]) => Promise<WrittenMessages> {
  let table: EventTable | null = null

  async function write(events: readonly ReadEvent[]): Promise<WrittenMessages> {
    const [only] = events
    if (only === undefined) return { xids: [], appended: 0, duplicate: 0, events: [], letters: [] }
    try {
      table ??= await readEventTable(db, source)
      const own = events.map(({ event }) => event)
      const { xid, duplicates } = await appendEvents(db, table, own, { to: 'both' })
      const known = duplicates.filter((each) => each !== null)
      const again = new Set(known)
      const duplicate = known.length
      const xids = [...(xid === null ? [] : [xid]), ...(again.size > maxFoldedAgain ? [] : again)]
      return { xids, appended: events.length - duplicate, duplicate, events, letters: [] }
    } catch (error) {
      table = null
      if (!(error instanceof LockstepError) || error.code !== 'INVALID_ROW') throw error
      if (events.length === 1) return { xids: [], appended: 0, duplicate: 0, events: [], letters: [deadLetter(only.message, error)] }
      // the one that is at fault must not hold up the others
      const half = events.length >> 1
      const first = await write(events.slice(0, half))
      const second = await write(events.slice(half))
      return {
        xids: [...first.xids, ...second.xids],
        appended: first.appended + second.appended,
        duplicate: first.duplicate + second.duplicate,
        events: [...first.events, ...second.events],
        letters: [...first.letters, ...second.letters],
      }
    }
  }

  return async (messages) => {
    table ??= await readEventTable(db, source)
    const read = createEventReader(table, options)
    const columns = takenColumns(spec, table)
    const receivedAt = clock()
    const refuseIfBehind = createClockCheck(db, Date.now() * 1000)
    const events: ReadEvent[] = []
    const letters: DeadLetter[] = []
    for (const message of messages) {
      const readAt = (at: number) => {
        if (message.failure !== undefined) throw message.failure
        const json = messageEvent(message.body, messageEventId(spec, message.id), { columns, limitBytes: options.messageLimitBytes })
        const event = read(json, 0, at)
        // the reader refuses what is no object
        return { message, json: json as Readonly<Record<string, unknown>>, event }
      }
      try {
        events.push(readAt(receivedAt))
      } catch (error) {
        await refuseIfBehind(error, (byMicros) => readAt(receivedAt + byMicros))
        letters.push(deadLetter(message, error))
      }
    }
    const written = await write(events)
    return { ...written, letters: [...letters, ...written.letters] }
  }
}

/** The columns that are taken of a message; null: all of its members. */
export function takenColumns(spec: StreamSpec | undefined, { columns }: EventTable): readonly string[] | null {
  return spec?.kind === 'kafka' && spec.format === 'avro' ? columns.map(({ name }) => name) : null
}

export function deadLetter({ id, body }: StreamMessage, error: unknown): DeadLetter {
  return { message: id, body, reason: reasonOf(error), error: messageOf(error) }
}
