import { LockstepError } from '../../kernel/errors.ts'
import type { DeadLetter } from '../../materializer/streams/dead-letters.ts'
import { deadLetter } from '../../materializer/streams/message-writer.ts'
import type { StreamMessage } from '../../runtime/streams/stream-consumer.ts'
import type { OutputMessage, StreamSink } from '../../runtime/streams/stream-sink.ts'

/**
 * Writes answers in their order. Where the sink takes them not for their size, halves of them are written, down to the
 * one that is too large.
 *
 * @returns dead letters of the messages whose answers are too large
 */
export async function produceAnswers(
  sink: Pick<StreamSink, 'produce'>,
  answers: readonly OutputMessage[],
  messages: readonly StreamMessage[],
): Promise<DeadLetter[]> {
  const [only] = answers
  if (only === undefined) return []
  try {
    await sink.produce(answers)
    return []
  } catch (error) {
    if (!(error instanceof LockstepError) || error.code !== 'MESSAGE_TOO_LARGE') throw error
    if (answers.length === 1) return messages.filter(({ id }) => id === only.input).map((message) => deadLetter(message, error))
    const half = answers.length >> 1
    const first = await produceAnswers(sink, answers.slice(0, half), messages)
    const second = await produceAnswers(sink, answers.slice(half), messages)
    return [...first, ...second]
  }
}
