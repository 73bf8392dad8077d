import type { Generated } from 'kysely'

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
