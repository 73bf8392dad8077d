import { dayOf, predictionPartitions } from '../day-partitions.ts'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { LoggedPrediction } from './columns.ts'
import type { PredictionCopy } from './copy-predictions.ts'
import { copyPredictions, createPredictionCopy } from './copy-predictions.ts'
import { forgetErased } from './forget-erased.ts'
import type { Database } from '../../runtime/database.ts'
import type { Logger } from '../../runtime/log.ts'
import { isUnavailable } from '../../runtime/postgres-unavailable.ts'
import { sqlState } from '../../runtime/relation.ts'
import type { LogMetrics } from './log-metrics.ts'

/** Writes the prediction log, one batch at a time. A batch is written once or dropped. */
export interface PredictionWriter {
  /** The number of rows in the batch. */
  readonly rows: number
  add(row: LoggedPrediction): void
  /** Reports that rows cannot be encoded now. Logged once, until a batch is written. */
  cannotAdd(rows: number, error: unknown): void
  /**
   * Writes the batch. Drops and counts it where it is unknown whether it was written, or where it can never be written.
   *
   * @returns false where the database is unavailable: the batch is kept, to be written later
   */
  write(): Promise<boolean>
}

export interface PredictionWriterDeps {
  /** @throws LockstepError `POSTGRES_UNAVAILABLE` */
  readonly database: () => Database
  readonly metrics: LogMetrics
  readonly log: Logger
}

interface Batch {
  readonly copy: PredictionCopy
  chunks: readonly Buffer[] | null
  readonly days: Set<number>
  /** By their bytes. */
  readonly entities: Map<string, Uint8Array>
  /** Epoch microseconds. */
  oldest: number
}

const noPartition = '23514'
/**
 * Why a statement was ended that can be tried again: a lock timeout, a deadlock, a cancellation. Nothing of it was
 * written.
 */
const ended = ['55P03', '40P01', '57014']
/**
 * How long to wait until the next day's partition is tried again: waiting for the lock of a table that is being read
 * holds others up.
 */
const aheadEveryMs = 60_000
/** The maximum number of entities that wait for a check for erasures while the database is unavailable; about 10 MB. */
const maxOwed = 100_000

export function createPredictionWriter({ database, metrics, log }: PredictionWriterDeps): PredictionWriter {
  const made = new Set<number>()
  let batch: Batch | null = null
  let failing = false
  let aheadAt = 0
  /**
   * The entities that wait for a check for erasures, because the database was unavailable, and when the first of them
   * was logged.
   */
  let owed: Pick<Batch, 'entities' | 'oldest'> | null = null

  async function partitions(db: Database, days: ReadonlySet<number>): Promise<void> {
    const lacking = [...days].filter((day) => !made.has(day))
    await predictionPartitions.create(db, lacking)
    for (const day of lacking) made.add(day)
  }

  /** Creates the partition of the next day before that day begins. Nothing waits for it. */
  async function partitionAhead(days: ReadonlySet<number>): Promise<void> {
    const next = Math.max(...days) + 1
    if (made.has(next) || performance.now() < aheadAt) return
    aheadAt = performance.now() + aheadEveryMs
    try {
      await partitions(database(), new Set([next]))
    } catch (error) {
      log.debug({ error: messageOf(error) }, 'the next partition of the prediction log cannot be created yet')
    }
  }

  async function forget({ entities, oldest }: Batch): Promise<void> {
    const all =
      owed === null ? { entities, oldest } : { entities: new Map([...owed.entities, ...entities]), oldest: Math.min(owed.oldest, oldest) }
    owed = all
    try {
      await forgetErased(database(), all.oldest / 1000, all.entities.values())
      owed = null
    } catch (error) {
      if (all.entities.size > maxOwed) owed = null
      log.warn({ error: messageOf(error) }, `it is not known${owed === null ? '' : ' yet'} whether logged entities were erased meanwhile`)
    }
  }

  async function copyIn({ copy, days, chunks }: Batch): Promise<'written' | 'unavailable' | 'lost' | 'refused'> {
    let sent = false
    async function* sending(): AsyncGenerator<Buffer> {
      yield* chunks ?? []
      sent = true
    }
    for (let tries = 1; ; tries++) {
      sent = false
      try {
        const db = database()
        await partitions(db, days)
        await db.copyIn(copyPredictions, sending())
        return 'written'
      } catch (error) {
        if (sqlState(error) === noPartition && tries === 1) {
          made.clear()
          continue
        }
        const isDown = isUnavailable(error) || (error instanceof LockstepError && error.code === 'POSTGRES_UNAVAILABLE')
        const outcome = ended.includes(sqlState(error)) ? 'unavailable' : isDown ? (sent ? 'lost' : 'unavailable') : 'refused'
        if (!failing || outcome === 'refused')
          log.warn({ rows: copy.rows, error: messageOf(error) }, 'the prediction log cannot be written')
        return outcome
      }
    }
  }

  return {
    get rows() {
      return batch?.copy.rows ?? 0
    },
    add(row) {
      batch ??= { copy: createPredictionCopy(), chunks: null, days: new Set(), entities: new Map(), oldest: row.at }
      batch.copy.add(row)
      batch.days.add(dayOf(row.at))
      if (row.at < batch.oldest) batch.oldest = row.at
      for (const entity of row.entities) batch.entities.set(Buffer.from(entity).toString('latin1'), entity)
    },
    cannotAdd(rows, error) {
      if (!failing) log.warn({ rows, error: messageOf(error) }, 'the prediction log cannot be written')
      failing = true
    },
    async write() {
      if (batch === null) return true
      const writing = batch
      writing.chunks ??= writing.copy.finish()
      const outcome = await copyIn(writing)
      if (outcome === 'unavailable') {
        failing = true
        return false
      }
      batch = null
      if (outcome !== 'written') metrics.dropped(outcome, writing.copy.rows)
      if (outcome === 'refused') return true
      if (outcome === 'written') {
        if (failing) log.info('the prediction log can be written again')
        failing = false
        metrics.written(writing.copy.rows)
        void partitionAhead(writing.days)
      }
      // a lost batch may have been stored
      await forget(writing)
      return true
    },
  }
}
