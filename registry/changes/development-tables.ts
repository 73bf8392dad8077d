import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import type { EntitySpec, SourceSpec } from '../../kernel/specs/view-spec.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import { ownedSchema } from '../../runtime/postgres/relation.ts'
import { sqlIdentifier } from '../../runtime/postgres/sql.ts'
import { requireDevelopment } from './development.ts'
import { typedTableChange } from './plan-sources.ts'
import { eventIdIndex } from './owned-table.ts'
import type { SourceReader } from './source-readers.ts'
import { entitiesOf } from './source-readers.ts'

/** Where the tables of a development store are filled before they take the place of the present ones. */
const fillingSchema = 'lockstep_dev'

/** The table that a source is to have. */
export interface NextTable {
  readonly source: string
  /** The source, reading the table that is filled: what `ingestOnce` takes. */
  readonly filling: SourceSpec
  /** The statement that makes the table. Equal statements make equal tables. */
  readonly create: string
}

/**
 * The table that an owned source is to have for these readers.
 *
 * @param entities give their types to key columns that no reader types
 * @returns null if the types of its key are unknown
 * @throws LockstepError `SOURCE_TYPE_MISMATCH`
 */
export function nextTable(source: SourceSpec, readers: readonly SourceReader[], entities: readonly EntitySpec[]): NextTable | null {
  const filling: SourceSpec = { ...source, relation: { kind: 'table', table: `${fillingSchema}.${source.name}` } }
  const absent = { source: source.name, relation: '', exists: false, hasArrival: true, columns: new Map(), facts: null }
  const create = typedTableChange(filling, entitiesOf(source, readers), entities, absent)?.statements[0]
  return create === undefined ? null : { source: source.name, filling, create }
}

/** Makes the tables that are filled, without rows, and with the index by which a load recognizes events. */
export async function makeNextTables(db: Kysely<LockstepTables>, tables: readonly NextTable[]): Promise<void> {
  await requireDevelopment(db)
  await sql.raw(`drop schema if exists ${fillingSchema} cascade`).execute(db)
  await sql.raw(`create schema ${fillingSchema}`).execute(db)
  for (const { create, filling } of tables) {
    await sql.raw(create).execute(db)
    await sql.raw(eventIdIndex(filling).statement).execute(db)
  }
}

/**
 * Puts the filled tables in the place of the present ones. All indexes but that of event ids are missing then:
 * `applyChanges` makes them.
 */
export async function takeNextTables(transaction: Kysely<LockstepTables>, tables: readonly NextTable[]): Promise<void> {
  await requireDevelopment(transaction)
  for (const name of tables.map(({ source }) => sqlIdentifier(source))) {
    await sql.raw(`drop table if exists ${ownedSchema}.${name}`).execute(transaction)
    await sql.raw(`alter table ${fillingSchema}.${name} set schema ${ownedSchema}`).execute(transaction)
  }
}
