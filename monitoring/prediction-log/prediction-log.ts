import { dayOf, predictionPartitions } from '../day-partitions.ts'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { messageOf } from '../../kernel/errors.ts'
import { sleep } from '../../runtime/async.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sharedNowMs } from '../../runtime/postgres/database-clock.ts'
import type { LogShares } from '../../runtime/settings/log-shares.ts'
import type { Logger } from '../../runtime/log.ts'
import { createRepeats } from '../../runtime/repeats.ts'
import type { KeptPredictions } from './encode-predictions.ts'
import { encodePredictions } from './encode-predictions.ts'
import { createSnapshotTracker } from './snapshot-tracker.ts'
import type { LogMetrics } from './log-metrics.ts'
import type { NotedPredictions } from './noted-predictions.ts'
import { maxMicros } from './logged-times.ts'
import { createSampling } from './sampling.ts'
import { createPredictionWriter } from './prediction-writer.ts'
import { bufferedValues } from './row-size.ts'

/**
 * Writes predictions and their features to PostgreSQL, for every request or a sample. No request waits for it.
 *
 *     note: sampled? is there room?  ->  buffer
 *     once a second, or when the buffer is well filled: encode, COPY  ->  lockstep.prediction_log
 */
export interface PredictionLog {
  /** Buffers a request, or counts it as dropped. It returns at once and never throws; the work is done later. */
  note(predictions: NotedPredictions): void
  /** Problems of the table, for the operator. */
  warnings(): readonly string[]
  /** Drops partitions that are older than the retention. */
  dropOld(): Promise<void>
  /** Writes the buffer within `ms`, and counts the rest as dropped. */
  close(ms: number): Promise<void>
}

export interface PredictionLogDeps {
  /** @throws LockstepError `POSTGRES_UNAVAILABLE` */
  readonly database: () => Database
  /** @param waiting how many rows are buffered */
  readonly metrics: (waiting: () => number) => LogMetrics
  readonly log: Logger
  /** Epoch microseconds. */
  readonly clock: () => number
}

export interface PredictionLogOptions {
  readonly shares: LogShares
  /** How many days are kept before the present one. */
  readonly retentionDays: number
  /** How long a request may wait in the buffer, milliseconds. Default 1000. */
  readonly flushMs?: number
  /** How old the snapshot of an answer may be. Default: 1000. */
  readonly snapshotMs?: number
  /**
   * The size of the buffer in values: features and outputs, with long texts and lists counted by their length. Default
   * 1,000,000, about 100 MB at most.
   */
  readonly maxValues?: number
}

/** When the buffer is filled to this share, it is written at once. */
const soonShare = 0.1
/**
 * A batch is encoded in about this number of turns of the event loop, with this number of rows in each: few, so that no
 * request waits long, and more when many rows wait.
 */
const [turnsPerBatch, minPerTurn, maxPerTurn] = [20, 10, 50]

export function createPredictionLog(deps: PredictionLogDeps, options: PredictionLogOptions): PredictionLog {
  const { log, clock } = deps
  const { flushMs = 1000, snapshotMs = 1000, maxValues = 1_000_000 } = options
  const sampling = createSampling(options.shares)
  let noted: { readonly kept: KeptPredictions; readonly values: number }[] = []
  let notedValues = 0
  let notedRows = 0
  /** The number of values in the buffer and in the batch that is being written. */
  let heldValues = 0
  let waitingRows = 0
  let timer: NodeJS.Timeout | null = null
  let flushing: Promise<void> | null = null
  let failing = false
  let closed = false
  const metrics = deps.metrics(() => waitingRows)
  const ended = createSnapshotTracker(deps.database, log, snapshotMs)
  const refusals = createRepeats()
  const writer = createPredictionWriter({ database: deps.database, metrics, log })

  function schedule(): void {
    if (closed || flushing !== null) return
    if (notedValues > maxValues * soonShare && !failing) {
      clearTimeout(timer ?? undefined)
      timer = null
      flush()
    } else {
      timer ??= setTimeout(flush, flushMs).unref()
    }
  }

  function flush(): void {
    timer = null
    flushing ??= write()
      .catch((error: unknown) => {
        failing = true
        log.error({ error: messageOf(error) }, 'the prediction log cannot be written')
      })
      .finally(() => {
        flushing = null
        if (noted.length > 0 || writer.rows > 0) schedule()
      })
  }

  /** Encodes the buffer into a batch and writes it. A batch that could not be written is tried first. */
  async function write(): Promise<void> {
    if (writer.rows === 0 && !(await encode())) return
    failing = !(await writer.write())
    if (failing) return
    waitingRows = notedRows
    heldValues = notedValues
  }

  /** @returns false where the database is unavailable but must still give a snapshot */
  async function encode(): Promise<boolean> {
    let snapshot = ''
    if (noted.some(({ kept }) => kept.ended.snapshot === null)) {
      try {
        snapshot = await ended.ask()
      } catch (error) {
        writer.cannotAdd(notedRows, error)
        failing = true
        return false
      }
    }
    const perTurn = Math.min(maxPerTurn, Math.max(minPerTurn, Math.ceil(notedRows / turnsPerBatch)))
    const taken = noted
    noted = []
    notedValues = 0
    notedRows = 0
    let sinceTurn = 0
    for (const { kept } of taken) {
      let added = 0
      try {
        for (const row of encodePredictions(kept, snapshot)) {
          writer.add(row)
          added++
          if (++sinceTurn % perTurn === 0) await nextTurn()
        }
      } catch (error) {
        const lost = kept.read.entities.length - added
        const rows = refusals(messageOf(error), lost)
        if (rows !== null) log.error({ requestId: kept.requestId, rows, error: messageOf(error) }, 'predictions cannot be logged')
        metrics.dropped('refused', lost)
      }
    }
    return true
  }

  return {
    note(predictions) {
      try {
        const { model, requestId, read, startedMs } = predictions
        if (!sampling.takes(model, requestId)) return
        const rows = read.entities.length
        if (closed) return metrics.dropped('closed', rows)
        const values = bufferedValues(predictions)
        if (heldValues + values > maxValues) return metrics.dropped('full', rows)
        const latencyMicros = Math.min(Math.round((performance.now() - startedMs) * 1000), maxMicros)
        const kept = { ...predictions, read: keptOf(read), at: Math.round(clock()), latencyMicros, ended: ended.now() }
        noted.push({ kept, values })
        notedValues += values
        heldValues += values
        waitingRows += rows
        notedRows += rows
        schedule()
      } catch (error) {
        log.error({ error: messageOf(error) }, 'predictions cannot be recorded')
      }
    },
    warnings: writer.warnings,
    async dropOld() {
      const db = deps.database()
      // servers share the table, so its retention follows the clock that they share
      const nowMs = await sharedNowMs(db, clock() / 1000)
      const dropped = await predictionPartitions.drop(db, dayOf(nowMs * 1000) - options.retentionDays)
      if (dropped > 0) log.info({ days: dropped }, 'old days of the prediction log were deleted')
    },
    async close(ms) {
      closed = true
      clearTimeout(timer ?? undefined)
      const deadline = performance.now() + ms
      const timeout = sleep(ms, { ref: false })
      while (performance.now() < deadline && (noted.length > 0 || writer.rows > 0 || flushing !== null)) {
        flush()
        await Promise.race([flushing, timeout])
        if (failing) break
      }
      if (waitingRows > 0) metrics.dropped('closed', waitingRows)
      waitingRows = 0
    },
  }
}

/** Evaluates the lazy parts of a read now: until then it keeps all bytes alive that the connection received with it. */
function keptOf({ entities, asOf, degraded, skewed, rows, origins }: NotedPredictions['read']): KeptPredictions['read'] {
  return { entities, asOf, degraded, skewed, rows: rows.map(({ values, statuses }) => ({ values, statuses })), origins: origins() }
}
