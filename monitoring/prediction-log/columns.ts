import type { Database } from '../../runtime/postgres/database.ts'
import type { SnapshotBounds } from '../../runtime/postgres/snapshot-bounds.ts'

/** The SQL types of the log's columns: what a writer gives, and what a reader gets. Times are epoch microseconds. */
interface ColumnTypes {
  readonly timestamptz: { readonly written: number; readonly read: number }
  readonly text: { readonly written: string; readonly read: string }
  readonly integer: { readonly written: number; readonly read: number }
  readonly 'integer[]': { readonly written: readonly number[]; readonly read: readonly number[] }
  readonly boolean: { readonly written: boolean; readonly read: boolean }
  /** Written as text, read as JSON.parse gives it. */
  readonly json: { readonly written: string; readonly read: unknown }
  readonly 'bytea[]': { readonly written: readonly Uint8Array[]; readonly read: readonly Uint8Array[] }
  /** Read as `xmin:xmax:running,running`. */
  readonly pg_snapshot: { readonly written: SnapshotBounds; readonly read: string }
}

export type ColumnType = keyof ColumnTypes
export type WrittenAs<Type extends ColumnType> = ColumnTypes[Type]['written']

interface LogColumn {
  readonly type: ColumnType
  readonly nullable?: true
}

/**
 * Every column of `lockstep.prediction_log`, which has one row for each entity of a logged request. Writer, readers and
 * export are made from this list. A column's name in SQL is that of its field, in snake case.
 */
export const logColumns = {
  /** When it was answered. */
  at: { type: 'timestamptz' },
  requestId: { type: 'text' },
  /** Unique in the log; null in rows that are older than this column. */
  predictionId: { type: 'text', nullable: true },
  /** Index of the entity in the request. */
  entity: { type: 'integer' },
  model: { type: 'text' },
  version: { type: 'integer' },
  /** `flight_features@1` */
  service: { type: 'text' },
  serviceFingerprint: { type: 'text' },
  /** The moment that the features hold for. */
  asOf: { type: 'timestamptz' },
  /** Every entity that was read: its name, a zero byte, and its key as the online store has it. */
  entities: { type: 'bytea[]' },
  /** By the service's key columns. */
  keys: { type: 'json' },
  /** The request data of on-demand views, by column. */
  request: { type: 'json' },
  /** Values by feature, as `valueToJson` writes them. */
  features: { type: 'json' },
  /** By feature, of those alone that are not PRESENT. */
  statuses: { type: 'json' },
  /** For each view that was read: `view`, `alias`, `fingerprint`, `from`, `frontier`, `eventTime`. */
  reads: { type: 'json' },
  outputs: { type: 'json' },
  latencyMicros: { type: 'integer' },
  /** The id of the API key; null: the request had none. */
  apiKey: { type: 'text', nullable: true },
  degraded: { type: 'boolean' },
  skewed: { type: 'boolean' },
  /** The transactions that had ended when it was answered, or a moment before. */
  snapshot: { type: 'pg_snapshot' },
  /** Why this version answered the row (`Role`); null in rows that are older than this column. */
  role: { type: 'text', nullable: true },
  experiment: { type: 'text', nullable: true },
  variant: { type: 'text', nullable: true },
  /** The candidate in whose place this version answered, because it failed; null: none. */
  bypassed: { type: 'integer', nullable: true },
  /** Microseconds of each stage of its request, by index of `loggedStages`; null: not measured. */
  stages: { type: 'integer[]', nullable: true },
} as const satisfies Readonly<Record<string, LogColumn>>

export type LogField = keyof typeof logColumns

type Field<F extends LogField, Use extends 'written' | 'read'> =
  | ColumnTypes[(typeof logColumns)[F]['type']][Use]
  | ((typeof logColumns)[F] extends { readonly nullable: true } ? null : never)

/** A row as it is written. */
export type LoggedPrediction = { readonly [F in LogField]: Field<F, 'written'> }

/** A row as it is read. */
export type StoredPrediction = { readonly [F in LogField]: Field<F, 'read'> }

export const logFields = Object.keys(logColumns) as LogField[]

/** A field's column in SQL: `request_id` of `requestId`. */
export function logColumnName(field: LogField): string {
  return field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

/** SQL of a field as `StoredPrediction` has it. */
export function readSql(field: LogField): string {
  const column = `prediction_log.${logColumnName(field)}`
  const { type } = logColumns[field]
  if (type === 'timestamptz') return `(extract(epoch FROM ${column}) * 1000000)::float8`
  return type === 'pg_snapshot' ? `${column}::text` : column
}

/**
 * Reads these fields of rows of the log.
 *
 * @param where what follows FROM; columns there need the prefix `prediction_log.`
 */
export async function readLog<F extends LogField>(
  db: Pick<Database, 'query'>,
  fields: readonly F[],
  where: string,
  values: readonly unknown[],
): Promise<Pick<StoredPrediction, F>[]> {
  const selected = fields.map((field) => `${readSql(field)} AS "${field}"`)
  return await db.query(`SELECT ${selected.join(', ')} FROM lockstep.prediction_log ${where}`, values)
}
