import type { StreamSpec } from '../../kernel/specs/stream-spec.ts'
import { orTimeout, unlessAborted } from '../../runtime/async.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { StreamConsumer, StreamLag } from '../../runtime/streams/stream-consumer.ts'
import { deletedUnread } from '../../runtime/streams/stream-consumer.ts'
import type { DeadLetter } from './dead-letters.ts'
import { keepDeadLetters } from './dead-letters.ts'

const lookMs = 5_000
/** The servers of streams answer within this time, or fail. */
const firstLookMs = 10_000

export interface WatchStreamOptions {
  readonly db: Pick<Database, 'kysely'>
  readonly consumer: Pick<StreamConsumer, 'lag'>
  /** Under which name its dead letters are kept. */
  readonly source: string
  readonly spec: StreamSpec
  readonly onLag: (lag: StreamLag) => void
  /** Called with dead letters of messages that the stream deleted before they were read, in one of its processes. */
  readonly onDeleted: (letters: readonly DeadLetter[]) => void
}

export interface StreamWatch {
  /**
   * Looks before anything is read: the group then still is where the messages were deleted. Where this fails, so does
   * reading. The signal ends it.
   */
  first(signal: AbortSignal): Promise<void>
  close(): void
}

/** Reports the lag of a stream every five seconds, and what the stream deleted before its group was given it. */
export function watchStream({ db, consumer, source, spec, onLag, onDeleted }: WatchStreamOptions): StreamWatch {
  /** Kept by this or another process. One that was dropped does not come again while the group reads nothing. */
  let known: readonly string[] = []
  const look = async (): Promise<void> => {
    const lag = await consumer.lag()
    onLag(lag)
    const letters = deletedLetters(lag)
    // each process sees them, and one keeps them
    const found = letters.filter(({ message }) => !known.includes(message))
    if ((await keepDeadLetters(db, source, spec, found)) > 0) onDeleted(found)
    known = letters.map(({ message }) => message)
  }
  const timer = setInterval(() => void look().catch(ignore), lookMs).unref()
  return {
    first: async (signal) => void (await unlessAborted(signal, () => orTimeout(look(), firstLookMs)).catch(ignore)),
    close: () => clearInterval(timer),
  }
}

/** Dead letters, without a body, of the messages that can no longer be read. */
function deletedLetters({ deleted = [] }: StreamLag): DeadLetter[] {
  return deleted.map(({ count, place }) => ({
    message: place,
    body: null,
    reason: deletedUnread,
    error: `The stream deleted ${count === 1 ? 'a message' : `${count} messages`} before they were read. Raise its limits of age, length and size, and send them again.`,
  }))
}

function ignore(): void {}
