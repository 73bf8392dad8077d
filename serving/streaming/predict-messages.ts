import { randomUUID } from 'node:crypto'
import type { ErrorCode } from '../../kernel/errors.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { PipelineSpec } from '../../registry/pipeline-spec.ts'
import type { MessageEvent } from '../../materializer/streams/message-writer.ts'
import { messageEventId } from '../../materializer/streams/message-event.ts'
import type { DeadLetter } from '../../materializer/streams/dead-letters.ts'
import { deadLetter } from '../../materializer/streams/message-writer.ts'
import type { StreamSpec } from '../../kernel/specs/stream-spec.ts'
import type { StreamMessage } from '../../runtime/streams/stream-consumer.ts'
import type { OutputMessage } from '../../runtime/streams/stream-sink.ts'
import type { PredictContext } from '../predict/predict.ts'
import { predict } from '../predict/predict-routed.ts'
import type { PipelineRow } from './pipeline-answer.ts'
import { answersOf } from './pipeline-answer.ts'

/** Errors that a message has each time it is predicted. Other failures may pass, so the message waits. */
const ofMessage: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'INVALID_ENTITY',
  'INVALID_TYPE',
  'INVALID_REQUEST',
  'INVALID_TIME',
  'MISSING_REQUEST_VALUE',
  'REQUIRED_FEATURE_MISSING',
  'TRANSFORM_FAILED',
  'ENTITY_SET_ASIDE',
  'TOO_MANY_CATEGORIES',
  'MODEL_FAILED',
])

/** How often a message is predicted that times out each time, unless the pipeline declares it. */
const defaultTries = 5

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

export interface PredictionReports {
  /** A message is predicted again after a timeout. */
  readonly onRetry: () => void
  /** Several messages are predicted again by halves, because of a timeout or a crashed process. */
  readonly onHalved: (error: LockstepError) => void
}

/**
 * The prediction of a batch. It keeps what it has when something fails, so that no message is predicted and logged
 * twice.
 */
export interface BatchPrediction {
  /**
   * Predicts the messages that are not predicted yet.
   *
   * @throws LockstepError some are still not predicted: call it again later
   * @throws the reason of the signal, which is checked before each request
   */
  run(signal: AbortSignal): Promise<PredictedMessages>
}

/**
 * Predicts messages as a request with a row for each would be: the same routes, log, rollups and outcomes. If a request
 * fails because of a message, its halves are predicted, down to that message:
 *
 *     error                          the single message
 *     of the message, as its type    is a dead letter
 *     a timeout, a crashed process   is tried again after the others, `tries` times in all: a busy machine is slow, too
 *     another                        waits, as the rest of the batch does
 *
 * Halving a batch may take minutes, so each timeout of several messages is reported at once.
 */
export function startPrediction(
  deps: PredictMessagesDeps,
  events: readonly MessageEvent[],
  { onRetry, onHalved }: PredictionReports,
): BatchPrediction {
  const { tries: maxTries = defaultTries } = deps.pipeline
  let parts: Part[] = events.length === 0 ? [] : [{ events, tries: 0 }]
  const answers = new Map<string, OutputMessage>()
  const letters: DeadLetter[] = []

  function refuse({ message }: MessageEvent, error: LockstepError, tries: number): void {
    const letter = deadLetter(message, error)
    letters.push(tries < 2 ? letter : { ...letter, error: `${letter.error} The message was tried ${tries} times.` })
  }

  return {
    async run(signal) {
      const later: Part[] = []
      let failure: LockstepError | null = null
      for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
        try {
          signal.throwIfAborted()
          if (part.tries > 0) onRetry()
          for (const answer of await answered(deps, part.events)) answers.set(answer.input, answer)
        } catch (error) {
          if (!(error instanceof LockstepError) || !(ofMessage.has(error.code) || mayPass(error))) {
            parts = [part, ...parts, ...later]
            throw error
          }
          const [event, ...others] = part.events
          const tries = part.tries + 1
          if (others.length > 0) {
            parts.unshift(...halvesOf(part.events))
            if (mayPass(error)) onHalved(error)
          } else if (event !== undefined && (ofMessage.has(error.code) || tries >= maxTries)) refuse(event, error, tries)
          else {
            later.push({ ...part, tries })
            failure ??= error
          }
        }
      }
      parts = later
      if (failure !== null) throw failure
      return { answers: events.flatMap(({ message }) => answers.get(message.id) ?? []), letters }
    },
  }
}

/** Messages that are predicted by one request. */
interface Part {
  readonly events: readonly MessageEvent[]
  /** How often they, if there is only one, failed so far. */
  readonly tries: number
}

function halvesOf(events: readonly MessageEvent[]): Part[] {
  const half = events.length >> 1
  return [events.slice(0, half), events.slice(half)].map((part) => ({ events: part, tries: 0 }))
}

/** Whether a message may be predicted later that was not in time, or in whose run the process of the model ended. */
function mayPass({ code, details }: LockstepError): boolean {
  return code === 'MODEL_TIMEOUT' || code === 'TRANSFORM_TIMEOUT' || (code === 'MODEL_UNAVAILABLE' && details['endedIn'] !== undefined)
}

async function answered(deps: PredictMessagesDeps, events: readonly MessageEvent[]): Promise<OutputMessage[]> {
  const { context, pipeline, stream } = deps
  const rows: PipelineRow[] = events.map(({ message, json }) => ({
    id: messageEventId(stream, message.id),
    key: membersOf(json, pipeline.key),
  }))
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
  const id = messageEventId(stream, message.id)
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
