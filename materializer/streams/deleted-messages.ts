import type { StreamLag } from '../../runtime/streams/stream-consumer.ts'
import { deletedUnread } from '../../runtime/streams/stream-consumer.ts'
import type { DeadLetter } from './dead-letters.ts'

/** Dead letters, without a body, of the messages that nobody can read any more. */
export function deletedLetters({ deleted = [] }: StreamLag): DeadLetter[] {
  return deleted.map(({ count, place }) => ({
    message: place,
    body: null,
    reason: deletedUnread,
    error: `The stream deleted ${count === 1 ? 'a message' : `${count} messages`} before they were read. Raise its limits of age, length and size, and send them again.`,
  }))
}
