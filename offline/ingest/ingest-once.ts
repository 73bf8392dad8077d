import { LockstepError } from '../../kernel/errors.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import { eventIdColumn } from '../../kernel/specs/view-spec.ts'
import type { AroundCopy, Database } from '../../runtime/postgres/database.ts'
import { sourceTableName, sqlState, tableColumns } from '../../runtime/postgres/relation.ts'
import { sqlIdentifier, sqlText } from '../../runtime/postgres/sql.ts'
import { absoluteName } from '../../runtime/storage/object-store.ts'
import { hashFile } from '../files/hash-file.ts'
import type { IngestOptions, IngestResult, IngestTarget } from './ingest.ts'
import { ingestFile } from './ingest.ts'

export interface IngestOnceOptions extends Omit<IngestOptions, 'around' | 'present'> {
  /** Load a file although the same one was loaded before. */
  readonly again?: boolean
  /**
   * Columns that identify a row: a row whose values are there already, in the table or before it in the file, is
   * passed over. Absent: every row is new.
   */
  readonly key?: readonly string[]
  /** The path to record. Absent: that of the file. */
  readonly recordedPath?: string
  /** Who loads it: `user@host`, or the id of an API key. */
  readonly actor: string
  /** The id of the HTTP request that loads it. */
  readonly requestId?: string | undefined
}

export interface IngestOnceResult extends IngestResult {
  /** The id of the load, for `undoIngest`. */
  readonly id: string
  /** Rows that were passed over, as their keys or event ids are there. */
  readonly already: number
}

/** Where rows that may be in the table already are copied first. */
const staging = 'lockstep_ingested'
const ordinal = '"_lockstep_ordinal"'
const deadlock = '40P01'

/**
 * Loads a file as `ingestFile` does, and records the load in the same transaction. Without a key, it refuses a file
 * with the SHA-256 of an earlier load whose rows are still in the table. Rows with the id of an event that is there are
 * passed over.
 *
 * @throws LockstepError `ALREADY_INGESTED` naming the earlier load, `UNKNOWN_COLUMN` for a key that the file lacks,
 *   `INVALID_ROW` if a row has no value in the key, and what `ingestFile` throws
 */
export async function ingestOnce(db: Database, source: SourceSpec, path: string, options: IngestOnceOptions): Promise<IngestOnceResult> {
  const { key = [], actor } = options
  const requestId = options.requestId === undefined ? 'NULL' : sqlText(options.requestId)
  const again = options.again === true || key.length > 0
  const sha256 = await hashFile(path, options.signal)
  const relation = await qualifiedTable(db, source)
  if (!again && relation !== null && sha256 !== null) await refuseTwice(db, relation, sha256, path)
  let noted = { id: '', rows: '0', already: '0' }
  const around = ({ table, columns }: IngestTarget): AroundCopy & { readonly into?: string } => {
    const note = (rows: string, already: string, from: string): string =>
      `noted AS (
        INSERT INTO lockstep.ingests (source, relation, path, sha256, every, again, key, rows, already, xid, actor)
        SELECT ${[source.name, relation ?? table, options.recordedPath ?? absoluteName(path), sha256 ?? ''].map(sqlText).join(', ')}, ${options.every ?? 1}, ${again},
          ARRAY[${key.map(sqlText).join(', ')}]::text[], ${rows}, ${already}, pg_current_xact_id(), ${sqlText(actor)} ${from}
        RETURNING *
      ), audited AS (
        INSERT INTO lockstep.audit_log (actor, actor_name, request_id, action, subject, after)
        SELECT actor, (SELECT name FROM lockstep.api_keys k WHERE k.id = actor), ${requestId}, 'ingest', source, json_build_object('load', id, 'path', path, 'sha256', sha256, 'rows', rows, 'already', already) FROM noted
      ) SELECT id::text, rows::text, already::text FROM noted`
    const onRows = (rows: readonly unknown[]): void => void (noted = rows[0] as typeof noted)
    const hasIds = columns.includes(sqlIdentifier(eventIdColumn))
    if (key.length === 0 && !hasIds) return { after: (rows) => `WITH ${note(String(rows), '0', '')}`, onRows }
    const between = alone && hasIds ? [`LOCK TABLE ${table} IN SHARE ROW EXCLUSIVE MODE`] : []
    return { ...newRows({ table, columns }, { key, hasIds }, path, note), between, onRows }
  }
  const load = async (): Promise<IngestOnceResult> => {
    const result = await ingestFile(db, source, path, { ...options, around, present: key })
    return { ...result, id: noted.id, rows: Number(noted.rows), already: Number(noted.already) }
  }
  let alone = false
  try {
    try {
      return await load()
    } catch (error) {
      if (sqlState(error) !== deadlock) throw error
      // a push wrote the same events in another order: now pushes wait until the rows are written
      alone = true
      return await load()
    }
  } catch (error) {
    if (sqlState(error) === '23505' && failedConstraint(error) === 'ingests_once') throw twice(path, 'by another process, just now')
    throw error
  }
}

/**
 * The statements of a load that passes over rows whose keys or event ids are there. Loads with keys into one table take
 * turns, so that none misses what another writes.
 */
function newRows(
  { table, columns }: IngestTarget,
  { key, hasIds }: { readonly key: readonly string[]; readonly hasIds: boolean },
  path: string,
  note: (rows: string, already: string, from: string) => string,
): Omit<AroundCopy, 'onRows'> & { readonly into: string } {
  const names = key.map(sqlIdentifier)
  const missing = names.find((name) => !columns.includes(name))
  if (missing !== undefined) {
    throw new LockstepError(
      'UNKNOWN_COLUMN',
      `The file "${path}" has no column ${missing} to identify its rows; it has ${columns.join(', ')}.`,
    )
  }
  const list = columns.join(', ')
  const takeTurns = `SELECT pg_advisory_xact_lock(hashtextextended(${sqlText(`lockstep ingest ${table}`)}, 0))`
  const same = names.map((name) => `t.${name} = s.${name}`).join(' AND ')
  return {
    into: staging,
    before: [
      ...(key.length === 0 ? [] : [takeTurns]),
      `CREATE TEMPORARY TABLE ${staging} ON COMMIT DROP AS SELECT ${list} FROM ${table} WITH NO DATA`,
      `ALTER TABLE ${staging} ADD ${ordinal} bigint GENERATED ALWAYS AS IDENTITY`,
    ],
    after: (rows) =>
      `WITH added AS (
        INSERT INTO ${table} (${list}) SELECT ${list} FROM ${
          key.length === 0
            ? staging
            : `(SELECT DISTINCT ON (${names.join(', ')}) * FROM ${staging} ORDER BY ${names.join(', ')}, ${ordinal}) s
        WHERE NOT EXISTS (SELECT FROM ${table} t WHERE ${same})`
        } ORDER BY ${ordinal}
        ${hasIds ? `ON CONFLICT (${eventIdColumn}) WHERE ${eventIdColumn} IS NOT NULL DO NOTHING` : ''}
        RETURNING 1
      ), ${note('count(*)', `${rows} - count(*)`, 'FROM added')}`,
  }
}

/** The table with its schema, quoted; null where there is none. */
export async function qualifiedTable(db: Pick<Database, 'query'>, source: SourceSpec): Promise<string | null> {
  const table = sourceTableName(source)
  if (table === null) return null
  const [found] = await db.query<{ relation: string }>(
    `SELECT format('%I.%I', n.nspname, c.relname) AS relation FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)`,
    [table],
  )
  return found?.relation ?? null
}

/** Loads of which no row is left in the table are forgotten: it was emptied, or recreated. */
async function refuseTwice(db: Database, relation: string, sha256: string, path: string): Promise<void> {
  const earlier = await db.kysely
    .selectFrom('lockstep.ingests')
    .select(['id', 'rows', 'at', 'xid'])
    .where('relation', '=', relation)
    .where('sha256', '=', sha256)
    .where('undone_at', 'is', null)
    .orderBy('id')
    .execute()
  const columns = earlier.length === 0 ? null : await tableColumns(db, relation)
  const hasArrivals = columns?.some(({ name, type }) => name === '_xid' && type === 'xid8') === true
  for (const { id, rows, at, xid } of earlier) {
    const left = hasArrivals ? await db.query(`SELECT FROM ${relation} WHERE "_xid" = '${xid}'::xid8 LIMIT 1`) : [{}]
    if (left.length > 0) throw twice(path, `on ${at.toISOString()} (load ${id}, ${rows} rows)`)
    await db.kysely.updateTable('lockstep.ingests').set({ undone_at: new Date() }).where('id', '=', id).execute()
  }
}

function twice(path: string, when: string): LockstepError {
  return new LockstepError(
    'ALREADY_INGESTED',
    `The file "${path}" was loaded into this table ${when}, so its rows would count twice. To replace them, undo that load ("lockstep ingest list"). To add only new rows, name the columns that identify a row (--key). To add all of them again, use --again.`,
    { details: { path } },
  )
}

/** The constraint that a statement failed by. */
export function failedConstraint(error: unknown): string {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('constraint' in cause && typeof cause.constraint === 'string') return cause.constraint
  }
  return ''
}
