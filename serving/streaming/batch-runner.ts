import type { StreamSpec } from '../../kernel/specs/stream-spec.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import type { DeadLetter } from '../../materializer/streams/dead-letters.ts'
import { createDeadLetterLog, keepDeadLetters, reasonOf } from '../../materializer/streams/dead-letters.ts'
import { messageEventId } from '../../materializer/streams/message-event.ts'
import type { MessageEvent, MessageWriterOptions } from '../../materializer/streams/message-writer.ts'
import { createMessageWriter } from '../../materializer/streams/message-writer.ts'
import type { PipelineSpec } from '../../registry/pipeline-spec.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { KeepTrying } from '../../runtime/keep-trying.ts'
import type { Logger } from '../../runtime/log.ts'
import type { StreamConsumer, StreamMessage } from '../../runtime/streams/stream-consumer.ts'
import type { StreamSink } from '../../runtime/streams/stream-sink.ts'
import type { PredictContext } from '../predict/predict.ts'
import type { Ledger } from './ledger.ts'
import type { PipelineMetrics } from './pipeline-metrics.ts'
import type { PredictedMessages } from './predict-messages.ts'
import { outputMessage, startPrediction } from './predict-messages.ts'
import { produceAnswers } from './produce-answers.ts'

export interface PipelineDeps {
  readonly db: Database
  readonly context: PredictContext
  readonly pipeline: PipelineSpec
  readonly source: SourceSpec
  /** With the pipeline's group. */
  readonly stream: StreamSpec
  readonly generation: number
  readonly consumer: StreamConsumer
  readonly sink: StreamSink
  /** Folds what some transactions wrote to the source into the online states. */
  readonly fold: (xids: readonly number[]) => Promise<void>
  readonly metrics: PipelineMetrics
  readonly log: Logger
  /** Epoch microseconds. */
  readonly clock: () => number
}

export interface BatchRunnerOptions extends MessageWriterOptions {
  /** The answers that were given; null: the pipeline keeps none. */
  readonly ledger: Ledger | null
  /** For each step but the prediction. */
  readonly keepTrying: KeepTrying
  readonly keepPredicting: KeepTrying
  /** Ends both. */
  readonly signal: AbortSignal
}

/**
 * Takes a batch of messages through its steps:
 *
 *     append the events to the source -> fold them -> predict -> keep the answers (ledger) -> produce -> acknowledge
 *
 * @returns false: the signal came before the last step
 */
export type BatchRunner = (messages: readonly StreamMessage[]) => Promise<boolean>

export function createBatchRunner(deps: PipelineDeps, options: BatchRunnerOptions): BatchRunner {
  const { db, pipeline, source, stream, consumer, sink, metrics, log } = deps
  const { ledger, keepTrying, keepPredicting, signal } = options
  const { name } = pipeline
  const write = createMessageWriter({ ...deps, spec: stream }, options)
  const report = createDeadLetterLog((line) => log.warn({ pipeline: name, ...line }, 'a message of a pipeline became a dead letter'))

  /** @throws Stopped */
  async function step<T>(action: () => Promise<T>, how = keepTrying): Promise<T> {
    const done = await how(async () => ({ result: await action() }))
    if (done === null) throw new Stopped()
    return done.result
  }

  async function run(messages: readonly StreamMessage[]): Promise<void> {
    const { xids, events, letters } = await step(() => write(messages))
    // a prediction that misses its own event would be wrong: while the store is down, it waits
    if (xids.length > 0) await step(() => deps.fold([...new Set(xids)]))
    const found = await predictOnce(events)
    // the source's own consumer logs the same messages
    await step(() => keepDeadLetters(db, source.name, stream, letters))
    const keep = (of: readonly DeadLetter[]): Promise<unknown> => keepDeadLetters(db, letterSource(name), stream, of)
    await step(() => keep(found.letters))
    report(found.letters)
    const tooLarge = await step(() => produceAnswers(sink, found.answers, messages, keep))
    report(tooLarge)
    const dead = letters.length + found.letters.length + tooLarge.length
    metrics.messages(name, { answered: found.answers.length - tooLarge.length, dead })
    // what is not acknowledged comes again, and its answer is known by its id
    await consumer.acknowledge(messages).catch(() => undefined)
  }

  /** With a ledger, a message that was answered before gets the same answer. */
  async function predictOnce(events: readonly MessageEvent[]): Promise<PredictedMessages> {
    if (ledger === null) return await predictAll(events)
    const placed = events.map((event) => ({ event, place: messageEventId(stream, event.message.id) }))
    const known = await step(() => ledger.find(placed.map(({ place }) => place)))
    const { answers, letters } = await predictAll(placed.flatMap(({ event, place }) => (known.has(place) ? [] : [event])))
    const kept = await step(() => ledger.keep(new Map(answers.map(({ id, value }) => [id, value]))))
    return {
      answers: placed.flatMap(({ event: { message, json }, place }) => {
        const value = known.get(place) ?? kept.get(place)
        return value === undefined ? [] : [outputMessage(deps, message, json, value)]
      }),
      letters,
    }
  }

  async function predictAll(events: readonly MessageEvent[]): Promise<PredictedMessages> {
    const prediction = startPrediction(deps, events, {
      onRetry: () => metrics.retry(name),
      onHalved(error) {
        metrics.failure(name, error)
        metrics.waiting(name, reasonOf(error))
      },
    })
    const predicted = await step(() => prediction.run(signal), keepPredicting)
    metrics.waiting(name, null)
    return predicted
  }

  return async (messages) => {
    try {
      await run(messages)
      return true
    } catch (error) {
      if (error instanceof Stopped) return false
      throw error
    }
  }
}

/** The signal ended a step. */
class Stopped extends Error {}

/** The name of a pipeline in dead letters, in place of a source. */
export function letterSource(pipeline: string): string {
  return `pipeline ${pipeline}`
}
