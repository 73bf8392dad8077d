import type { ColumnType, Generated } from 'kysely'

/** A file that was loaded into the table of a source in one transaction. Its rows hold that transaction in `_xid`. */
export interface IngestsTable {
  id: Generated<string>
  source: string
  /** The table, quoted, with its schema. */
  relation: string
  path: string
  /** Empty for a Parquet file of a source, which `lockstep.source_files` identifies. */
  sha256: string
  every: number
  /** Whether the load was allowed although the same file was loaded before. */
  again: boolean
  /** The columns that identify a row; empty: none. */
  key: string[]
  rows: string
  /** Rows that were not loaded, because their keys existed already. */
  already: string
  xid: string
  actor: string
  at: Generated<Date>
  /** The rows are deleted, and the states are not rebuilt yet. */
  undoing_at: Date | null
  undone_at: Date | null
}

/** The Parquet files whose rows are in the tables of sources. The transaction that loads a file writes its row. */
export interface SourceFilesTable {
  source: string
  /** An absolute path or a URL. */
  path: string
  etag: string
  bytes: string
  /** The columns that were loaded. */
  columns: string[]
  /** Rows with an earlier event time were left out; null: none were. */
  from_time: Date | null
  rows: Generated<string>
  /** Rows that were left out. */
  older_rows: Generated<string>
  /** Bytes that were requested to read it. */
  bytes_read: Generated<string>
  min_event: Date | null
  max_event: Date | null
  /** The load in `lockstep.ingests`. */
  load: Generated<string>
  /** The transaction that loaded it. */
  xid: Generated<string>
  synced_at: Generated<Date>
}

/** How far each process has numbered its witnesses (online/witness.ts). */
export interface StoreWitnessesTable {
  writer: string
  store: string
  number: ColumnType<string, number, number>
  written_at: Generated<Date>
}
