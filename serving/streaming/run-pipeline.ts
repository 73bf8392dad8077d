import { messageOf } from '../../kernel/errors.ts'
import type { StreamSpec } from '../../kernel/stream-spec.ts'
import type { SourceSpec } from '../../kernel/view-spec.ts'
import type { DeadLetter } from '../../materializer/streams/dead-letters.ts'
import { keepDeadLetters, reasonOf } from '../../materializer/streams/dead-letters.ts'
import { placeOf } from '../../materializer/streams/message-event.ts'
import type { MessageEvent, MessageWriterOptions } from '../../materializer/streams/message-writer.ts'
import { createMessageWriter } from '../../materializer/streams/message-writer.ts'
import type { PipelineSpec } from '../../registry/pipeline-spec.ts'
import type { Database } from '../../runtime/database.ts'
import { createKeepTrying } from '../../runtime/keep-trying.ts'
import type { Logger } from '../../runtime/log.ts'
import type { StreamConsumer, StreamMessage } from '../../runtime/streams/stream-consumer.ts'
import { holdMessages } from '../../runtime/streams/hold-messages.ts'
import type { StreamSink } from '../../runtime/streams/stream-sink.ts'
import type { PredictContext } from '../predict/predict.ts'
import { createBatchSize } from './batch-size.ts'
import { createLedger } from './ledger.ts'
import type { PipelineMetrics } from './pipeline-metrics.ts'
import type { PredictedMessages } from './predict-messages.ts'
import { outputMessage, startPrediction } from './predict-messages.ts'
import { produceAnswers } from './produce-answers.ts'

const lagMs = 5_000
/** The settings of a sink's server may change, and with them its guarantee. */
const checkSinkMs = 60_000
/** A model that is paused or a machine that is overloaded needs seconds. */
const predictBackoff = { firstMs: 500, maxMs: 30_000 }
const ageMs = 1_000
const dropOldMs = 3_600_000
const defaultDrainMs = 8_000

export interface RunPipelineDeps {
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

export interface RunPipelineOptions extends MessageWriterOptions {
  readonly signal: AbortSignal
  /** How often the sink is checked. Default: once a minute. */
  readonly checkSinkMs?: number
  /** How long the batch under way may take after the signal. Default: 8 s. */
  readonly drainMs?: number | undefined
}

/**
 * Runs a pipeline until the signal, one batch after another:
 *
 *     take -> append the events to the source -> fold them -> predict -> keep the answers (ledger) -> produce -> acknowledge
 *
 * - The next batch is taken once the answers of this one are written. If the process dies in between, another one gets
 *   the messages again.
 * - A message that cannot be predicted, or whose answer is too large, becomes a dead letter. After any other failure
 *   the failed step is tried again, without end.
 * - After the signal the batch under way has 8 s to finish. A run of the model that is under way then still ends.
 */
export async function runPipeline(deps: RunPipelineDeps, options: RunPipelineOptions): Promise<void> {
  const { db, pipeline, stream, consumer, sink, metrics, log, generation } = deps
  const { name } = pipeline
  const { signal, drainMs = defaultDrainMs } = options
  const write = createMessageWriter({ ...deps, spec: stream }, options)
  const ledger = pipeline.ledger ? createLedger(db, name, generation) : null
  const drained = new AbortController()
  const cut = (): void => void setTimeout(() => drained.abort(), drainMs).unref()
  signal.addEventListener('abort', cut, { once: true })
  const tries = {
    onFailure(error: unknown, isNew: boolean) {
      metrics.failure(name, error)
      metrics.waiting(name, reasonOf(error))
      if (isNew) log.error({ pipeline: name, error: messageOf(error) }, 'a pipeline waits')
    },
    onOver() {
      metrics.waiting(name, null)
      log.info({ pipeline: name }, 'a pipeline resumes')
    },
  }
  const untilStopped = createKeepTrying({ ...tries, signal })
  const untilDrained = createKeepTrying({ ...tries, signal: drained.signal })
  const untilPredicted = createKeepTrying({ ...tries, signal: drained.signal, backoff: predictBackoff })
  /** When the oldest message under way arrived, epoch milliseconds; null: none is. */
  let oldestMs: number | null = null
  const oldestAge = (): number => (oldestMs === null ? 0 : Math.max(0, Date.now() - oldestMs) / 1000)
  const timers = [
    // a batch that waits grows older
    setInterval(() => metrics.age(name, oldestAge()), ageMs).unref(),
    setInterval(() => void consumer.lag().then((lag) => metrics.lag(name, lag), ignore), lagMs).unref(),
    setInterval(() => void ledger?.dropOld().catch(ignore), dropOldMs).unref(),
  ]

  /** @returns null: the pipeline was stopped */
  async function predicted(events: readonly MessageEvent[]): Promise<PredictedMessages | null> {
    const placed = events.map((event) => ({ event, place: placeOf(stream, event.message.id) }))
    const known = ledger === null ? new Map<string, string>() : await untilDrained(() => ledger.find(placed.map(({ place }) => place)))
    if (known === null) return null
    const fresh = placed.flatMap(({ event, place }) => (known.has(place) ? [] : [event]))
    const prediction = startPrediction(deps, fresh, {
      onRetry: () => metrics.retry(name),
      onHalved(error) {
        metrics.failure(name, error)
        metrics.waiting(name, reasonOf(error))
      },
    })
    const found = await untilPredicted(() => prediction.run(drained.signal))
    metrics.waiting(name, null)
    if (found === null || ledger === null) return found
    const kept = await untilDrained(() => ledger.keep(new Map(found.answers.map(({ id, value }) => [id, value]))))
    if (kept === null) return null
    const own = new Map(found.answers.map((answer) => [answer.id, answer]))
    const answers = placed.flatMap(({ event, place }) => {
      const answer = own.get(place)
      const value = known.get(place) ?? kept.get(place) ?? answer?.value
      return value === undefined
        ? []
        : [answer === undefined ? outputMessage(deps, event.message, event.json, value) : { ...answer, value }]
    })
    return { answers, letters: found.letters }
  }

  function report(letters: readonly DeadLetter[]): void {
    for (const { message, error } of letters) log.warn({ pipeline: name, message, error }, 'a message of a pipeline became a dead letter')
  }

  /** @param of the source, for messages that are no events: the source's own consumer logs the same messages */
  async function kept(letters: readonly DeadLetter[], of = letterSource(name)): Promise<boolean> {
    if ((await untilDrained(async () => (await keepDeadLetters(db, of, stream, letters), true))) === null) return false
    if (of !== deps.source.name) report(letters)
    return true
  }

  /** @returns whether the batch is done */
  async function finish(messages: readonly StreamMessage[]): Promise<boolean> {
    const written = await untilDrained(() => write(messages))
    if (written === null) return false
    const xids = [...new Set(written.xids)]
    // a prediction that misses its own event would be wrong: while the store is down, it waits
    if (xids.length > 0 && (await untilDrained(async () => (await deps.fold(xids), true))) === null) return false
    const { events } = written
    const found = await predicted(events)
    if (found === null || !(await kept(written.letters, deps.source.name)) || !(await kept(found.letters))) return false
    const keep = (letters: readonly DeadLetter[]): Promise<void> => keepDeadLetters(db, letterSource(name), stream, letters)
    const tooLarge = await untilDrained(() => produceAnswers(sink, found.answers, messages, keep))
    if (tooLarge === null) return false
    report(tooLarge)
    const dead = written.letters.length + found.letters.length + tooLarge.length
    metrics.messages(name, { answered: found.answers.length - tooLarge.length, dead })
    // what is not acknowledged comes again, and its answer is known by its id
    await consumer.acknowledge(messages).catch(ignore)
    return true
  }

  try {
    const size = createBatchSize()
    let checkAtMs = 0
    while (!signal.aborted) {
      if (performance.now() >= checkAtMs) {
        if ((await untilStopped(async () => (await sink.check(), true))) === null) break
        checkAtMs = performance.now() + (options.checkSinkMs ?? checkSinkMs)
      }
      oldestMs = null
      metrics.age(name, 0)
      const messages = await untilStopped(() => consumer.take(size.limit()))
      if (messages === null) break
      if (messages.length === 0) continue
      oldestMs = Math.min(...messages.map(({ atMs }) => atMs))
      metrics.age(name, oldestAge())
      const beganMs = performance.now()
      if (!(await holdMessages(consumer, messages, () => finish(messages)))) break
      size.note(messages, performance.now() - beganMs)
      metrics.answered(name, oldestAge())
    }
  } finally {
    signal.removeEventListener('abort', cut)
    for (const timer of timers) clearInterval(timer)
    metrics.age(name, 0)
    metrics.waiting(name, null)
  }
}

/** What dead letters call the source of a pipeline's messages. */
export function letterSource(pipeline: string): string {
  return `pipeline ${pipeline}`
}

function ignore(): void {}
