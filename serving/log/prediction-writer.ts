import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { LoggedPrediction, PredictionCopy } from '../../offline/prediction-log/copy-predictions.ts'
import { copyPredictions, createPredictionCopy } from '../../offline/prediction-log/copy-predictions.ts'
import { forgetErased } from '../../offline/prediction-log/forget-erased.ts'
import { dayOf, makePartitions } from '../../offline/prediction-log/partitions.ts'
import type { Database } from '../../runtime/database.ts'
import type { Logger } from '../../runtime/log.ts'
import { isUnavailable } from '../../runtime/postgres-unavailable.ts'
import { sqlState } from '../../runtime/relation.ts'
import type { LogMetrics } from './log-metrics.ts'

/** One batch of the prediction log at a time, which is written once, or dropped. */
export interface PredictionWriter {
  /** Of the batch. */
  readonly rows: number
  add(row: LoggedPrediction): void
  /**
   * Writes the batch, or drops it where it cannot be known whether it was written, or never can be. What is dropped is counted.
   *
   * @returns false where the database is away: the batch is kept, to be written later
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
  /** By what names them. */
  readonly entities: Map<string, Uint8Array>
  /** Epoch microseconds. */
  oldest: number
}

const noPartition = '23514'

export function createPredictionWriter({ database, metrics, log }: PredictionWriterDeps): PredictionWriter {
  const made = new Set<number>()
  let batch: Batch | null = null
  let failing = false

  /** Those of the rows, and of the day after, so that it is there when the day begins. */
  async function partitions(db: Database, days: ReadonlySet<number>): Promise<void> {
    const lacking = [...new Set([...days].flatMap((day) => [day, day + 1]))].filter((day) => !made.has(day))
    await makePartitions(db, lacking)
    for (const day of lacking) made.add(day)
  }

  async function copyIn({ copy, days, chunks }: Batch): Promise<'written' | 'away' | 'lost' | 'refused'> {
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
        const away = isUnavailable(error) || (error instanceof LockstepError && error.code === 'POSTGRES_UNAVAILABLE')
        const outcome = away ? (sent ? 'lost' : 'away') : 'refused'
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
    async write() {
      if (batch === null) return true
      const writing = batch
      writing.chunks ??= writing.copy.finish()
      const outcome = await copyIn(writing)
      if (outcome === 'away') {
        failing = true
        return false
      }
      batch = null
      if (outcome !== 'written') {
        metrics.dropped(outcome, writing.copy.rows)
        return true
      }
      if (failing) log.info('the prediction log is written again')
      failing = false
      metrics.written(writing.copy.rows)
      await forgetErased(database(), writing.oldest / 1000, writing.entities.values()).catch((error: unknown) =>
        log.warn({ error: messageOf(error) }, 'whether logged entities were erased meanwhile cannot be told'),
      )
      return true
    },
  }
}
