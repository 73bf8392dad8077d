import type { ColumnType, Generated } from 'kysely'

/** Whether a pipeline runs. A pipeline that was never paused or replayed has no row. */
export interface PipelinesTable {
  name: string
  /** null: it runs. */
  paused_at: Date | null
  /** How often it was replayed. Each replay has a consumer group and ids of its own. */
  generation: Generated<number>
  replayed_at: Date | null
  /** What the last replay began with: a time or a position. */
  replayed_from: string | null
}

/** The answers of pipelines that keep them (`ledger: true`). */
export interface PipelineAnswersTable {
  pipeline: string
  generation: number
  /** The place of the message that is answered. */
  id: string
  answer: string
  at: Generated<Date>
}

/** What each process that runs a pipeline did, by minute (serving/streaming/pipeline-minutes.ts). */
export interface PipelineMinutesTable {
  pipeline: string
  minute: Date
  process: string
  answered: ColumnType<string, number, number>
  dead: ColumnType<string, number, number>
  failures: ColumnType<string, number, number>
  /** Messages of the consumer group; null: not read in this minute. */
  waiting: ColumnType<string | null, number | null, number | null>
  pending: ColumnType<string | null, number | null, number | null>
  oldest_seconds: number
  seen_at: Date
  /** Why it waits; null: it does not. */
  failing: string | null
  error: string | null
  error_at: Date | null
}
