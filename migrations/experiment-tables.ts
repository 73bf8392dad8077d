import type { ColumnType, Generated } from 'kysely'

type Json = ColumnType<unknown, string, string>
type Ending<T> = ColumnType<T | null, T | null | undefined, T | null>

/** The tables of experiments, as Kysely sees them. */
export interface ExperimentsTable {
  id: Generated<string>
  name: string
  model: string
  /** What was declared when it started (`ExperimentSpec`). */
  spec: Json
  state: 'running' | 'stopped' | 'decided'
  /** Of the variants' places. */
  salt: string
  /** The share of the units of its layer's part, or of all units, that are in it. */
  coverage: number
  /** By variant, the version that it serves. */
  variants: Json
  /** The parts of [0, 1) that the variants have (`Slice`). */
  slices: Json
  started_by: string
  started_at: Generated<Date>
  stopped_by: Ending<string>
  stopped_at: Ending<Date>
  stop_reason: Ending<string>
  decision: ColumnType<unknown, string | null | undefined, string | null>
  /** Since when its exposures are deleted (monitoring/experiments/forget-exposures.ts). */
  exposures_deleted_at: Ending<Date>
}

/** The units that got an answer of a variant. A unit with rows for two variants has crossed over. */
export interface ExposuresTable {
  experiment_id: string
  /** Canonical text. */
  unit: string
  variant: string
  /** When the unit first got an answer of this variant. */
  exposed_at: Date
  last_at: Date
  /** How many rows of it were answered by this variant. */
  rows: string
  /** The probability with which the unit was given the variant, as it was at its first exposure. */
  propensity: number
  /** The fields of the first row that name its entities. */
  entity: Json
  /** Every entity that was read for the first row, as the prediction log names them. An erasure finds it by them. */
  entities: Generated<Buffer[]>
  /** Of the first row. */
  prediction_id: string | null
  /** Whether it was lost, and rebuilt from the prediction log. */
  rebuilt: Generated<boolean>
}

/** The processes that record exposures. One that ended without `closed_at` may have lost the last second of them. */
export interface ExposureRecordersTable {
  experiment_id: string
  process: string
  started_at: Date
  /** When its last exposures were written. */
  written_at: Date
  closed_at: Date | null
  /** Exposures that it had to drop. */
  lost: Generated<string>
  /** The last batch that was written: a batch that is sent twice counts once. */
  batch: Generated<string>
}

/** Shares that followed the results of a run. The first ones are those of `ExperimentsTable.spec`. */
export interface ExperimentAllocationsTable {
  experiment_id: string
  /** Since when they are in force. */
  at: Generated<Date>
  /** By variant, as the spec lists them. */
  shares: Json
  /** What they were computed of. */
  evidence: Json
}

/** What each analysis of a run found. */
export interface ExperimentResultsTable {
  id: Generated<string>
  experiment_id: string
  as_of: Date
  /** `ExperimentResult` */
  result: Json
  /** `ExperimentEvidence`; null of all but the newest. */
  evidence: ColumnType<unknown, string | null, string | null>
  created_at: Generated<Date>
}
