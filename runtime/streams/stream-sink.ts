import { LockstepError } from '../../kernel/errors.ts'
import type { SinkSpec } from '../../kernel/specs/sink-spec.ts'
import { streamName } from '../../kernel/specs/stream-spec.ts'

/**
 * A stream that answers are written to. One file for each kind of server (`openSink` lists them). A sink connects when
 * it is first used, and again whenever it is used after a failure.
 */
export interface StreamSink {
  /**
   * Whether the server can do what the sink promises.
   *
   * @throws LockstepError `CONFIG_INVALID` where it cannot; `STREAM_UNAVAILABLE`
   */
  check(): Promise<void>
  /**
   * Writes messages in their order. When the promise is kept the server has all of them. Messages whose ids the server
   * knows are not written again.
   *
   * @throws LockstepError `MESSAGE_TOO_LARGE` if one of them, or all together, are more than the server takes;
   *   `STREAM_UNAVAILABLE`. Some of the messages may be written
   */
  produce(messages: readonly OutputMessage[]): Promise<void>
  close(): Promise<void>
}

export interface OutputMessage {
  /** Tells the message from all others; readers see it. */
  readonly id: string
  /** The id that the server knows. It differs from the other one where the same answer is to be written again. */
  readonly writtenAs: string
  /** The id of the message of the input that this answers, as its consumer calls it. */
  readonly input: string
  /** Messages of one key stay in order. */
  readonly key: string
  readonly value: string
}

/** The names of the fields or headers that hold a message's id and key. */
export const [idHeader, keyHeader] = ['lockstep-id', 'lockstep-key']

/** @param remedy a sentence */
export function messageTooLarge(spec: SinkSpec, remedy: string, cause?: unknown): LockstepError {
  return new LockstepError('MESSAGE_TOO_LARGE', `The ${streamName(spec)} takes no message of this size. ${remedy}`, {
    details: { stream: spec.stream },
    cause,
  })
}
