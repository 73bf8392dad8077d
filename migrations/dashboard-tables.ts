import type { ColumnType, Generated } from 'kysely'

/** Sessions of the dashboard, by the SHA-256 of the session's secret. */
export interface UiSessionsTable {
  hash: Buffer
  /** The id of an API key, or `user@host` where a one-time code began it. */
  actor: string
  /** The key that it ends with; null: a one-time code began it. */
  key_id: string | null
  scopes: string[]
  created_at: Generated<Date>
  /** Accurate to a minute. */
  seen_at: Generated<Date>
  expires_at: Date
}

/** One-time codes that begin a session, by their SHA-256. */
export interface UiCodesTable {
  hash: Buffer
  actor: string
  expires_at: Date
}

/** What was found out about a model, once an hour (monitoring/figures). */
export interface ModelFiguresTable {
  model: string
  kind: 'quality' | 'drift'
  version: number
  as_of: Date
  report: ColumnType<unknown, string, string>
  figures: ColumnType<unknown, string | null, string | null>
  created_at: Generated<Date>
}

/** What the parity checks of servers found (monitoring/parity/stored-parity.ts). */
export interface ParityHoursTable {
  hour: Date
  service: string
  feature: string
  view: string
  verdict: string
  count: ColumnType<string, number, number>
  /** The id of a request with such a value. */
  example: string | null
}

/** How long rows took to be known, ingested and materialized (materializer/row-delays.ts). */
export interface RowDelaysTable {
  hour: Date
  view: string
  stage: string
  bucket: number
  rows: ColumnType<string, number, number>
}
