import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { EventIntake } from '../../materializer/events/event-intake.ts'
import type { ExposureRecorder } from '../../monitoring/exposures/exposure-recorder.ts'
import type { PredictionLog } from '../../monitoring/prediction-log/prediction-log.ts'
import type { RollupRecorder } from '../../monitoring/rollups/rollup-recorder.ts'
import { sleep, withTimeout } from '../../runtime/async.ts'
import type { Logger } from '../../runtime/log.ts'
import type { TlsPair } from '../../runtime/tls-pair.ts'
import type { Stores } from './stores.ts'

/** The parts of a server, in the order in which they are closed. */
export interface ServerParts {
  /** How long it keeps accepting connections, so that load balancers notice. */
  readonly delayMs: number
  /** How long requests under way may take. */
  readonly drainMs: number
  /** How long each other part may take; absent: as long as is usual for it. */
  readonly closeMs: number | undefined
  /** End the connections of each protocol. */
  readonly drains: readonly ((ms: number) => Promise<void>)[]
  readonly traffic: { close(): void }
  readonly tls: TlsPair | null
  readonly intake: Pick<EventIntake, 'close'>
  /** Aborts the reads of the history. */
  readonly drained: AbortController
  readonly watch: { stop(): Promise<void> }
  readonly predictionLog: Pick<PredictionLog, 'close'>
  readonly rollups: Pick<RollupRecorder, 'close'>
  readonly exposures: Pick<ExposureRecorder, 'close'>
  readonly models: { close(): Promise<void> }
  readonly stores: Pick<Stores, 'database' | 'online'>
  readonly log: Logger
}

const watchStopMs = 2000
/** How long folding pushed events may take: the next run of a view folds the rest. */
const foldsCloseMs = 1500
const logCloseMs = 2000
/** How long each of the other parts may take. */
const partCloseMs = 6000

/** Closes a server. A part that does not close in time is logged and left. */
export async function shutDown(parts: ServerParts): Promise<void> {
  const {
    delayMs,
    drainMs,
    closeMs,
    drains,
    traffic,
    tls,
    intake,
    drained,
    watch,
    predictionLog,
    rollups,
    exposures,
    models,
    stores,
    log,
  } = parts
  const logMs = closeMs ?? logCloseMs
  if (delayMs > 0) await sleep(delayMs)
  await Promise.all(drains.map((drain) => drain(drainMs)))
  traffic.close()
  tls?.close()
  const pushed = closed('the pushed events', watchStopMs, intake.close(closeMs ?? foldsCloseMs))
  drained.abort(new LockstepError('NOT_READY', 'The server is shutting down.'))
  await closed('the watching of the stores', watchStopMs, watch.stop())
  await pushed
  await Promise.all([
    closed('the prediction log', logMs + 500, predictionLog.close(logMs)),
    closed('the exposures', logMs + 500, exposures.close(logMs)),
    closed('the rollups', logMs + 500, rollups.close(logMs)),
  ])
  await closed('the models', partCloseMs, models.close())
  await Promise.all([closed('the online store', partCloseMs, stores.online.close()), closed('the database', partCloseMs, closeDatabase())])

  /** Pings it first: a database that does not answer drops its connections then, which would wait for ever to end. */
  async function closeDatabase(): Promise<void> {
    await stores.database.value?.ping().catch(() => undefined)
    await stores.database.close()
  }

  async function closed(part: string, ms: number, work: Promise<unknown>): Promise<void> {
    try {
      const limitMs = Math.max(ms, closeMs ?? 0)
      await withTimeout(work, limitMs, () => new Error(`It was not closed within ${limitMs} ms.`))
    } catch (error) {
      log.warn({ part, error: messageOf(error) }, 'a part of the server did not close')
    }
  }
}
