import type { ColumnType, Generated } from 'kysely'

type Json = ColumnType<unknown, string, string>

/** Either of a training set, or of a model version. */
export interface BaselinesTable {
  id: Generated<string>
  dataset: string | null
  model: string | null
  version: number | null
  origin: Json
  rows: ColumnType<string, number, number>
  sampled_rows: number
  entities: number
  columns: Json
  /** Sampled rows, compressed; null: none are kept. */
  sample: Buffer | null
  /** How much each feature moves the prediction of a model version; null: not measured. */
  effects: ColumnType<unknown, string | null | undefined, string | null>
  created_at: Generated<Date>
}

/** What one process summarized of one key in one minute. Partitioned by day. */
export interface RollupsTable {
  /** The begin of the minute, by the server's clock. */
  at: Date
  process: string
  /** Empty: of the process itself. */
  model: string
  version: number
  role: string
  /** Whether the process ended with this minute, and said so. */
  ended: boolean
  /** `TrafficSummary` */
  traffic: Buffer
  /** `ColumnsSummary`; null: no rows. */
  columns: Buffer | null
}

/** The minutes of all processes, merged. */
export interface MergedRollupsTable {
  step: 'hour' | 'day'
  at: Date
  model: string
  version: number
  role: string
  /** How many rows of `lockstep.rollups` it is made of. */
  parts: number
  traffic: Buffer
  columns: Buffer | null
  /** Of the process' rows: which minutes were measured; null in others. */
  coverage: Json | null
}
