import { LockstepError } from '../../kernel/errors.ts'
import type { Column, ValueType } from '../../kernel/values/value-type.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import { sqlTypeName } from '../../offline/rows/sql-type.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { tableColumns } from '../../runtime/postgres/relation.ts'
import { sqlIdentifier, sqlText } from '../../runtime/postgres/sql.ts'
import { batchName } from './batch-spec.ts'

interface Place {
  readonly schema: string
  readonly table: string
}

export interface Target extends Place {
  /** The id of the batch. */
  readonly id: string
  readonly mode: 'replace' | 'append' | 'upsert'
  readonly key: readonly string[]
  readonly columns: readonly Column<ValueType>[]
  readonly overwrite: boolean
}

export interface TargetFacts {
  readonly exists: boolean
  /** Whether the rows of a batch can be a partition of it. */
  readonly byBatch: boolean
  /** Its partitions, quoted, each with the id of its batch; null: it is not of a batch. */
  readonly partitions: readonly { readonly name: string; readonly batch: string | null }[]
}

export async function targetFacts(db: Database, place: Place): Promise<TargetFacts> {
  const relation = sqlText(quoted(place))
  const [found] = await db.query<{ exists: boolean; by: string | null }>(
    `SELECT to_regclass(${relation}) IS NOT NULL AS exists,
      (SELECT pg_get_partkeydef(p.partrelid) FROM pg_partitioned_table p WHERE p.partrelid = to_regclass(${relation})) AS by`,
  )
  const partitions = await db.query<{ name: string; own: boolean; bound: string }>(
    `SELECT format('%I.%I', n.nspname, c.relname) AS name, c.relname ~ '_batch_[0-9]+$' AS own, pg_get_expr(c.relpartbound, c.oid) AS bound
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE i.inhparent = to_regclass(${relation}) ORDER BY 1`,
  )
  return {
    exists: found?.exists === true,
    byBatch: found?.by === `LIST (${batchName})`,
    partitions: partitions.map(({ name, own, bound }) => ({ name, batch: own ? idOf(bound) : null })),
  }
}

/** The text of `FOR VALUES IN ('delays/june')`. */
function idOf(bound: string): string | null {
  const [, escaped, text] = /^FOR VALUES IN \(\s*(E?)'(.*)'\)$/s.exec(bound) ?? []
  if (text === undefined) return null
  const plain = text.replaceAll("''", "'")
  return escaped === '' ? plain : plain.replaceAll('\\\\', '\\')
}

/**
 * Checks before any work that a batch can end as rows of its table.
 *
 * @throws LockstepError `COLUMNS_MISMATCH` for a table of other columns or without the key; `FILE_EXISTS` where it has
 *   another batch; `WRITE_FAILED` where the schema is missing, or the database's user may not write
 */
export async function checkTarget(db: Database, target: Target): Promise<void> {
  const { schema, id, mode, overwrite } = target
  const facts = await targetFacts(db, target)
  const name = `The table "${schema}.${target.table}"`
  await requireRights(db, target, facts.exists)
  if (!facts.exists) return
  await requireColumns(db, target, name)
  if (mode === 'upsert') {
    if (facts.byBatch)
      throw mismatch(
        target,
        `${name} is divided by batches, as the modes "replace" and "append" do it. Choose one of them, or another table.`,
      )
    await requireUnique(db, target, name)
    return
  }
  if (!facts.byBatch) {
    const why = 'so that a batch can replace its own rows at once'
    throw mismatch(
      target,
      `${name} is not divided by "${batchName}" (PARTITION BY LIST (${batchName})), ${why}. Choose another table, which the batch makes, or the mode "upsert".`,
    )
  }
  const foreign = facts.partitions.find(({ batch }) => batch === null)
  if (foreign !== undefined)
    throw mismatch(target, `${name} has the partition ${foreign.name}, which is not of a batch. Choose another table.`)
  const other = facts.partitions.find(({ batch }) => batch !== id)
  if (mode !== 'replace' || overwrite || other === undefined) return
  throw new LockstepError(
    'FILE_EXISTS',
    `${name} has the batch "${other.batch}" already. Choose another table, replace it (--overwrite), or add to it (--mode append).`,
    { details: { table: `${schema}.${target.table}`, id: other.batch } },
  )
}

async function requireRights(db: Database, target: Target, exists: boolean): Promise<void> {
  const { schema, table, mode } = target
  const [namespace, relation] = [sqlText(schema), sqlText(quoted(target))]
  const [found] = await db.query<{ there: boolean; creates: boolean; owns: boolean; writes: boolean; user: string }>(
    `SELECT n.oid IS NOT NULL AS there, coalesce(has_schema_privilege(n.oid, 'CREATE'), false) AS creates, current_user::text AS user,
      coalesce(pg_has_role(c.relowner, 'USAGE'), false) AS owns,
      coalesce(has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE'), false) AS writes
    FROM (SELECT 1) one LEFT JOIN pg_namespace n ON n.nspname = ${namespace} LEFT JOIN pg_class c ON c.oid = to_regclass(${relation})`,
  )
  const fail = (message: string): LockstepError => new LockstepError('WRITE_FAILED', message, { details: { table: `${schema}.${table}` } })
  if (found?.there !== true) throw fail(`There is no schema "${schema}" for the table "${table}". Create it, or choose another one.`)
  const user = `The user "${found.user}" of the database`
  if (exists && mode === 'upsert') {
    if (!found.writes) throw fail(`${user} may not read and write the table "${schema}.${table}"; grant it SELECT, INSERT and UPDATE.`)
    return
  }
  if (!found.creates) throw fail(`${user} may not create tables in the schema "${schema}"; grant it CREATE, or choose another schema.`)
  if (exists && !found.owns)
    throw fail(`${user} is not the owner of the table "${schema}.${table}", so it cannot add partitions; choose another table.`)
}

async function requireColumns(db: Database, target: Target, name: string): Promise<void> {
  const wanted = new Map([...target.columns.map((each) => [each.name, typeOf(each)] as const), [batchName, 'text'] as const])
  const there = (await tableColumns(db, quoted(target))) ?? []
  for (const [column, type] of wanted) {
    const found = there.find((each) => each.name === column)
    if (found === undefined)
      throw mismatch(target, `${name} has no column "${column}", which the batch writes. Add it, or choose another table.`)
    if (found.type !== type)
      throw mismatch(
        target,
        `${name} has the column "${column}" as ${found.described}, and the batch writes ${type}. Change the column, or choose another table.`,
      )
  }
  const extra = there.find(
    (each) => !wanted.has(each.name) && (target.mode !== 'upsert' || (!each.nullable && !each.hasDefault && !each.generated)),
  )
  if (extra !== undefined)
    throw mismatch(target, `${name} has a column "${extra.name}", which the batch does not write. Remove it, or choose another table.`)
}

async function requireUnique(db: Database, target: Target, name: string): Promise<void> {
  const keys = quotedNames(target.key)
  const [found] = await db.query(
    `SELECT FROM pg_index i WHERE i.indrelid = to_regclass(${sqlText(quoted(target))}) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
      AND (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM unnest(i.indkey[0:i.indnkeyatts - 1]) k JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k)
        = (SELECT array_agg(k ORDER BY k) FROM unnest($1::text[]) k)`,
    [target.key],
  )
  if (found !== undefined) return
  throw mismatch(
    target,
    `${name} has no unique index on ${keys}, by which a batch finds the rows to update. Create one, or choose another table.`,
  )
}

function typeOf({ type }: Column<ValueType>): string {
  return type.kind === 'list' || type.kind === 'counts' ? 'text' : sqlTypeName(type)
}

function quoted({ schema, table }: Place): string {
  return `${sqlIdentifier(schema)}.${sqlIdentifier(table)}`
}

function mismatch({ schema, table }: Place, message: string): LockstepError {
  return new LockstepError('COLUMNS_MISMATCH', message, { details: { table: `${schema}.${table}` } })
}
