import { LockstepError } from '../../kernel/errors.ts'
import type { DeadLetter } from '../../materializer/streams/dead-letters.ts'
import { deadLetter } from '../../materializer/streams/message-writer.ts'
import type { StreamMessage } from '../../runtime/streams/stream-consumer.ts'
import type { OutputMessage, StreamSink } from '../../runtime/streams/stream-sink.ts'

/**
 * Writes answers in their order. Where the sink takes them not for their size, halves of them are written, down to the
 * one that is too large.
 *
 * @param keep keeps the dead letter of a message whose answer is too large, before later answers are written: a sink
 *   may acknowledge what came before them
 * @returns these dead letters
 */
export async function produceAnswers(
  sink: Pick<StreamSink, 'produce'>,
  answers: readonly OutputMessage[],
  messages: readonly StreamMessage[],
  keep: (letters: readonly DeadLetter[]) => Promise<unknown>,
): Promise<DeadLetter[]> {
  const [only] = answers
  if (only === undefined) return []
  try {
    await sink.produce(answers)
    return []
  } catch (error) {
    if (!(error instanceof LockstepError) || error.code !== 'MESSAGE_TOO_LARGE') throw error
    if (answers.length === 1) {
      const letters = messages.filter(({ id }) => id === only.input).map((message) => deadLetter(message, error))
      await keep(letters)
      return letters
    }
    const half = answers.length >> 1
    const first = await produceAnswers(sink, answers.slice(0, half), messages, keep)
    const second = await produceAnswers(sink, answers.slice(half), messages, keep)
    return [...first, ...second]
  }
}
