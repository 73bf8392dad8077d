import type { LockstepError } from '../../kernel/errors.ts'

/**
 * A stream of messages that several processes share: each message goes to one of them, and again, to the same or
 * another, for as long as nobody has said that it is done with. One file for each kind of server (`openConsumer` lists
 * them). A consumer connects when it is first used, and again whenever it is used after a failure.
 */
export interface StreamConsumer extends StreamConsumerOptions {
  /**
   * The next messages, first those that were handed to a process that is gone.
   *
   * @returns at most `limit`; none where none came within about a second
   * @throws LockstepError `STREAM_UNAVAILABLE`; the next call tries again
   */
  take(limit: number): Promise<readonly StreamMessage[]>
  /** Whether the group has agreed on which messages are for this process; absent: it need not. */
  hasShare?(): Promise<boolean>
  /**
   * These messages are done with: nobody gets them again. @throws LockstepError `STREAM_UNAVAILABLE`, and they may come
   * again
   */
  acknowledge(messages: readonly StreamMessage[]): Promise<void>
  /**
   * Nobody else gets these messages for another `redeliverMs`. Messages that somebody else has by now, or that are
   * acknowledged, stay as they are. @throws LockstepError `STREAM_UNAVAILABLE`
   */
  extend(messages: readonly StreamMessage[]): Promise<void>
  /**
   * Does not need `take` to have been called, and makes nothing on the server. @throws LockstepError
   * `STREAM_UNAVAILABLE`
   */
  lag(): Promise<StreamLag>
  /** Messages that were taken and not acknowledged are delivered to other consumers later. */
  close(): Promise<void>
}

export interface StreamMessage {
  /**
   * Tells the message from all others that its stream has ever held or will hold; when it comes again it has the same.
   */
  readonly id: string
  /** null: what came is not of the form that holds a message. */
  readonly body: Uint8Array | null
  /** Why the message cannot be read, where its body is not of the form that was declared. */
  readonly failure?: LockstepError
  /** When its server got it, epoch milliseconds. */
  readonly atMs: number
}

export interface StreamLag {
  /** Messages that no process of the group has been given. */
  readonly waiting: number
  /** Messages that were given to a process and are not acknowledged. */
  readonly pending: number
  /**
   * Messages that the stream deleted before the group was given them, by a limit of age, length or size; absent: none,
   * or the server cannot tell.
   */
  readonly deleted?: readonly DeletedMessages[]
}

/** Why a message has no body, for programs: its stream deleted it first. */
export const deletedUnread = 'deleted_unread'

export interface DeletedMessages {
  /** Kafka counts offsets, of which some may have held no message. */
  readonly count: number
  /** Where they began: the same for as long as the group reads no further. */
  readonly place: string
}

export interface StreamConsumerOptions {
  /** A message that is neither acknowledged nor extended for so long is given to another process. */
  readonly redeliverMs: number
}
