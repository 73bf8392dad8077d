import { messageOf } from '../../kernel/errors.ts'
import { reasonOf } from '../../materializer/streams/dead-letters.ts'
import type { MessageWriterOptions } from '../../materializer/streams/message-writer.ts'
import { watchStream } from '../../materializer/streams/watch-stream.ts'
import { createKeepTrying } from '../../runtime/keep-trying.ts'
import { holdMessages, takeShare } from '../../runtime/streams/hold-messages.ts'
import type { PipelineDeps } from './batch-runner.ts'
import { createBatchRunner, letterSource } from './batch-runner.ts'
import { createBatchSize } from './batch-size.ts'
import { createLedger } from './ledger.ts'

/** The settings of a sink's server may change, and with them its guarantee. */
const checkSinkMs = 60_000
/** A model that is paused or a machine that is overloaded needs seconds. */
const predictBackoff = { firstMs: 500, maxMs: 30_000 }
const ageMs = 1_000
const dropOldMs = 3_600_000
const defaultDrainMs = 8_000

export interface RunPipelineOptions extends MessageWriterOptions {
  readonly signal: AbortSignal
  /** How often the sink is checked. Default: once a minute. */
  readonly checkSinkMs?: number
  /** How long the batch under way may take after the signal. Default: 8 s. */
  readonly drainMs?: number | undefined
}

/**
 * Runs a pipeline until the signal, one batch after another (`batch-runner.ts`).
 *
 * - The next batch is taken once the answers of this one are written. If the process dies in between, another one gets
 *   the messages again.
 * - A message that cannot be predicted, or whose answer is too large, becomes a dead letter. After any other failure
 *   the failed step is tried again, without end.
 * - After the signal the batch under way has 8 s to finish. A run of the model that is under way then still ends.
 */
export async function runPipeline(deps: PipelineDeps, options: RunPipelineOptions): Promise<void> {
  const { db, pipeline, stream, consumer, sink, metrics, log, generation } = deps
  const { name } = pipeline
  const { signal, drainMs = defaultDrainMs } = options
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
  const finish = createBatchRunner(deps, {
    ...options,
    ledger,
    keepTrying: createKeepTrying({ ...tries, signal: drained.signal }),
    keepPredicting: createKeepTrying({ ...tries, signal: drained.signal, backoff: predictBackoff }),
    signal: drained.signal,
  })
  const watch = watchStream({
    db,
    consumer,
    source: letterSource(name),
    spec: stream,
    onLag: (lag) => metrics.lag(name, lag),
    onDeleted(letters) {
      metrics.messages(name, { answered: 0, dead: letters.length })
      for (const { message, error } of letters) log.warn({ pipeline: name, message, error }, 'messages of a pipeline were deleted unread')
    },
  })
  /** When the oldest message under way arrived, epoch milliseconds; null: none is. */
  let oldestMs: number | null = null
  const oldestAge = (): number => (oldestMs === null ? 0 : Math.max(0, Date.now() - oldestMs) / 1000)
  const timers = [
    // a batch that waits grows older
    setInterval(() => metrics.age(name, oldestAge()), ageMs).unref(),
    setInterval(() => void ledger?.dropOld().catch(ignore), dropOldMs).unref(),
  ]

  try {
    const size = createBatchSize()
    let checkAtMs = 0
    await watch.first(signal)
    while (!signal.aborted) {
      if (performance.now() >= checkAtMs) {
        if ((await untilStopped(async () => (await sink.check(), true))) === null) break
        checkAtMs = performance.now() + (options.checkSinkMs ?? checkSinkMs)
      }
      oldestMs = null
      metrics.age(name, 0)
      const messages = await untilStopped(() => takeShare(consumer, size.limit(), signal))
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
    watch.close()
    for (const timer of timers) clearInterval(timer)
    metrics.age(name, 0)
    metrics.waiting(name, null)
  }
}

function ignore(): void {}
