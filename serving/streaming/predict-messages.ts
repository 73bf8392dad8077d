import { randomUUID } from 'node:crypto'
import type { ErrorCode } from '../../kernel/errors.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { PipelineSpec } from '../../registry/pipeline-spec.ts'
import type { MessageEvent } from '../../materializer/streams/message-writer.ts'
import { placeOf } from '../../materializer/streams/message-event.ts'
import type { DeadLetter } from '../../materializer/streams/dead-letters.ts'
import { deadLetter } from '../../materializer/streams/message-writer.ts'
import type { StreamSpec } from '../../kernel/stream-spec.ts'
import type { StreamMessage } from '../../runtime/streams/stream-consumer.ts'
import type { OutputMessage } from '../../runtime/streams/stream-sink.ts'
import type { PredictContext } from '../predict/predict.ts'
import { predict } from '../predict/predict-routed.ts'
import type { PipelineRow } from './pipeline-answer.ts'
import { answersOf } from './pipeline-answer.ts'

/** Errors that a message has whenever it is predicted. What else fails may work later, so the message waits. */
const ofMessage: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'INVALID_ENTITY',
  'INVALID_TYPE',
  'INVALID_REQUEST',
  'INVALID_TIME',
  'MISSING_REQUEST_VALUE',
  'REQUIRED_FEATURE_MISSING',
  'TRANSFORM_FAILED',
  'TRANSFORM_TIMEOUT',
  'ENTITY_SET_ASIDE',
  'TOO_MANY_CATEGORIES',
  'MODEL_FAILED',
  'MODEL_TIMEOUT',
])

export interface PredictMessagesDeps {
  readonly context: PredictContext
  readonly pipeline: PipelineSpec
  /** The stream that the messages came from. */
  readonly stream: Pick<StreamSpec, 'kind' | 'stream'>
  /** How often the pipeline was replayed. */
  readonly generation: number
}

export interface PredictedMessages {
  /** In the order of the messages. */
  readonly answers: readonly OutputMessage[]
  /** Messages that cannot be predicted. */
  readonly letters: readonly DeadLetter[]
}

/**
 * Predicts messages as a request with a row for each would be: the same routes, log, rollups and outcomes. Where a
 * request fails by a message, halves of it are asked, down to that message, which is a dead letter then.
 *
 * @throws LockstepError what fails for another reason: the messages are to be predicted again later
 */
export async function predictMessages(deps: PredictMessagesDeps, events: readonly MessageEvent[]): Promise<PredictedMessages> {
  const [only] = events
  if (only === undefined) return { answers: [], letters: [] }
  try {
    return { answers: await answered(deps, events), letters: [] }
  } catch (error) {
    if (!(error instanceof LockstepError) || !ofMessage.has(error.code)) throw error
    if (events.length === 1) return { answers: [], letters: [deadLetter(only.message, error)] }
    const half = events.length >> 1
    const first = await predictMessages(deps, events.slice(0, half))
    const second = await predictMessages(deps, events.slice(half))
    return { answers: [...first.answers, ...second.answers], letters: [...first.letters, ...second.letters] }
  }
}

async function answered(deps: PredictMessagesDeps, events: readonly MessageEvent[]): Promise<OutputMessage[]> {
  const { context, pipeline, stream } = deps
  const rows: PipelineRow[] = events.map(({ message, json }) => ({ id: placeOf(stream, message.id), key: membersOf(json, pipeline.key) }))
  const requestId = randomUUID()
  const request = {
    model: pipeline.model,
    version: pipeline.version ?? undefined,
    entities: events.map(({ json }) => entityOf(json, pipeline)),
    // an answer that is not of the present state would be written for good
    onUnavailable: 'error' as const,
    caller: { requestId, predictionBase: requestId, startedMs: performance.now(), apiKey: null },
  }
  const answers = await predict(context, request, (predicted) => answersOf(predicted, rows, pipeline.name, requestId))
  return events.map(({ message, json }, row) => outputMessage(deps, message, json, answers[row] as string))
}

/** The answer to a message, as a sink takes it. */
export function outputMessage(
  { pipeline, stream, generation }: Omit<PredictMessagesDeps, 'context'>,
  message: StreamMessage,
  json: MessageEvent['json'],
  value: string,
): OutputMessage {
  const id = placeOf(stream, message.id)
  const writtenAs = generation === 0 ? id : `${id}~${generation}`
  return { id, writtenAs, input: message.id, key: keyText(Object.values(membersOf(json, pipeline.key))), value }
}

function entityOf(json: Readonly<Record<string, unknown>>, { entities }: PipelineSpec): Record<string, unknown> {
  const entity: Record<string, unknown> = {}
  for (const { field, column } of entities) if (json[column] !== null && json[column] !== undefined) entity[field] = json[column]
  return entity
}

function membersOf(json: Readonly<Record<string, unknown>>, columns: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(columns.map((column) => [column, json[column] ?? null]))
}

/** One value as it is, several as a list. */
function keyText(values: readonly unknown[]): string {
  const texts = values.map((value) =>
    value === null ? '' : typeof value === 'object' ? JSON.stringify(value) : `${value as string | number | bigint | boolean}`,
  )
  return texts.length === 1 ? (texts[0] as string) : JSON.stringify(texts)
}
