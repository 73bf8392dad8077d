import { dayOf, predictionPartitions } from '../day-partitions.ts'
import { remedyOf, createNextPartition, endedStates, isDown } from '../next-partition.ts'
import { messageOf } from '../../kernel/errors.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { LoggedPrediction } from './columns.ts'
import type { PredictionCopy } from './copy-predictions.ts'
import { copyPredictions, createPredictionCopy } from './copy-predictions.ts'
import { forgetErased } from './forget-erased.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Logger } from '../../runtime/log.ts'
import { sqlState } from '../../runtime/postgres/relation.ts'
import { createRepeats } from '../../runtime/repeats.ts'
import type { LogMetrics } from './log-metrics.ts'

/** Writes the prediction log, one batch at a time. A batch is written once or dropped. */
export interface PredictionWriter {
  /** The number of rows in the batch. */
  readonly rows: number
  /**
   * Problems of the table, for the operator: rows that it has refused since the last batch that was written, or will
   * refuse tomorrow. It no longer refuses all if a later row of any process is there, which is looked up meanwhile.
   */
  warnings(): readonly string[]
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
  newest: number
}

const noPartition = '23514'
/** The maximum number of entities that wait for a check for erasures while the database is unavailable; about 10 MB. */
const maxOwed = 100_000

export function createPredictionWriter({ database, metrics, log }: PredictionWriterDeps): PredictionWriter {
  const made = new Set<number>()
  let batch: Batch | null = null
  let failing = false
  const refusal = createRefusal({ database, log })
  const repeats = createRepeats()
  const nextPartition = createNextPartition({ database, log }, predictionPartitions, 'the prediction log')
  const forget = createForgetting({ database, log })

  async function createPartitions(db: Database, days: ReadonlySet<number>): Promise<void> {
    const lacking = [...days].filter((day) => !made.has(day))
    await predictionPartitions.create(db, lacking)
    for (const day of lacking) made.add(day)
  }

  async function copyIn(writing: Batch): Promise<'written' | 'unavailable' | 'lost' | 'refused'> {
    const { copy, days, chunks } = writing
    let sent = false
    async function* sending(): AsyncGenerator<Buffer> {
      yield* chunks ?? []
      sent = true
    }
    for (let tries = 1; ; tries++) {
      sent = false
      try {
        const db = database()
        await createPartitions(db, days)
        await db.copyIn(copyPredictions, sending())
        return 'written'
      } catch (error) {
        if (sqlState(error) === noPartition && tries === 1) {
          made.clear()
          continue
        }
        // of an ended statement nothing was written
        const isEnded = endedStates.includes(sqlState(error))
        const outcome = isEnded ? 'unavailable' : isDown(error) ? (sent ? 'lost' : 'unavailable') : 'refused'
        if (outcome === 'refused') refusal.note(writing, error)
        // each batch may be refused, and there is one a second
        const rows = outcome === 'refused' ? repeats(messageOf(error), copy.rows) : failing ? null : copy.rows
        if (rows !== null) log.warn({ rows, error: messageOf(error) }, 'the prediction log cannot be written')
        return outcome
      }
    }
  }

  return {
    get rows() {
      return batch?.copy.rows ?? 0
    },
    warnings() {
      const warning = refusal.warning()
      return warning === null ? nextPartition.warnings : [warning]
    },
    add(row) {
      batch ??= { copy: createPredictionCopy(), chunks: null, days: new Set(), entities: new Map(), oldest: row.at, newest: row.at }
      batch.copy.add(row)
      batch.days.add(dayOf(row.at))
      if (row.at < batch.oldest) batch.oldest = row.at
      if (row.at > batch.newest) batch.newest = row.at
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
        refusal.end()
        metrics.written(writing.copy.rows)
        // nothing waits for it
        void nextPartition.create(Math.max(...writing.days))
      }
      // a lost batch may have been stored
      await forget(writing)
      return true
    },
  }
}

type Deps = Pick<PredictionWriterDeps, 'database' | 'log'>

/**
 * Deletes the new rows of entities that were erased meanwhile. While the database is unavailable, entities wait for the
 * next call.
 */
function createForgetting({ database, log }: Deps): (of: Pick<Batch, 'entities' | 'oldest'>) => Promise<void> {
  let owed: Pick<Batch, 'entities' | 'oldest'> | null = null
  return async ({ entities, oldest }) => {
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
}

interface Refused {
  readonly since: string
  readonly why: string
  /** When the last of the refused rows was answered, epoch microseconds. */
  readonly last: number
}

const lookAgainMs = 2_000

/** That the table refuses rows, until it takes some again. */
function createRefusal({ database, log }: Deps) {
  let refused: Refused | null = null
  let lookAgainAt = 0

  /** This process may log nothing more. So it looks whether the table takes the rows of others. Never rejects. */
  async function lookAgain(before: Refused): Promise<void> {
    if (performance.now() < lookAgainAt) return
    lookAgainAt = performance.now() + lookAgainMs
    try {
      const [later] = await database().query('SELECT FROM lockstep.prediction_log WHERE at > to_timestamp($1) LIMIT 1', [before.last / 1e6])
      if (later !== undefined && refused === before) refused = null
    } catch (error) {
      log.debug({ error: messageOf(error) }, 'it is not known whether the prediction log still refuses rows')
    }
  }

  return {
    note({ oldest, newest }: Batch, error: unknown): void {
      refused = { since: refused?.since ?? secondOf(oldest), why: `${messageOf(error)}${remedyOf(error)}`, last: newest }
    },
    end(): void {
      refused = null
    },
    /** null: it refuses none. Looked up again meanwhile. */
    warning(): string | null {
      if (refused === null) return null
      void lookAgain(refused)
      return `The prediction log has refused all rows since ${refused.since}, and they are lost: ${refused.why}`
    },
  }
}

/** @param micros epoch microseconds */
function secondOf(micros: number): string {
  return formatTimestamp(Math.floor(micros / 1e6) * 1e6)
}
