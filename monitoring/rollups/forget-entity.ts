import { sql } from 'kysely'
import type { EntityKey } from '../../kernel/values/entity-key.ts'
import { encodeKey } from '../../kernel/values/entity-key.ts'
import { hashText53 } from '../../kernel/values/hash-text.ts'
import type { Value } from '../../kernel/values/value-type.ts'
import type { DefinitionId, EntitySpec } from '../../kernel/specs/view-spec.ts'
import { entityUses } from '../../materializer/erase/carriers.ts'
import { storedDefinitions } from '../../registry/definition.ts'
import { registryChannel } from '../../registry/revision.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { categoryHash } from './category-sample.ts'
import type { ForgottenEntity } from './columns-summary.ts'
import { ColumnsSummary } from './columns-summary.ts'
import { lockMerging } from './merge-rollups.ts'
import type { RollupName } from './named-rollup.ts'
import { decodeRollup } from './named-rollup.ts'

/** How many rows are read at once: their columns may have hundreds of kilobytes each. */
const rowsAtOnce = 50

/**
 * Removes an erased entity from the samples of all rollups: its hash, and its key where a feature or output has it as a
 * text. Counts over all rows stay. Servers that listen remove it from the minutes that they have not written yet.
 *
 * @returns from how many rollups it was removed
 */
export async function forgetEntity(db: Database, entity: EntitySpec, values: readonly Value[], signal?: AbortSignal): Promise<number> {
  const erased = forgottenOf(entity, values)
  const release = await lockMerging(db)
  try {
    await sql`select pg_notify(${registryChannel}, ${forgetNotice(erased)})`.execute(db.kysely)
    const others = await modelsWithout(db, entity.name)
    let removed = 0
    for (const table of ['rollups', 'merged_rollups'] as const) removed += await forgetIn(db, table, erased, others, signal)
    return removed
  } finally {
    await release()
  }
}

function forgottenOf(entity: EntitySpec, values: readonly Value[]): ForgottenEntity {
  const key: EntityKey = encodeKey(entity.key, values)
  const [only] = values
  return { entity: hashText53(key), text: values.length === 1 && typeof only === 'string' ? categoryHash(only) : null }
}

function forgetNotice({ entity, text }: ForgottenEntity): string {
  return `forget ${entity} ${text ?? 'none'}`
}

/** Returns null for any other notice of the registry's channel. */
export function parseForgetNotice(notice: string): ForgottenEntity | null {
  const [, entity = '', text = ''] = /^forget (\d{1,16}) (\d{1,16}|none)$/.exec(notice) ?? []
  return entity === '' ? null : { entity: Number(entity), text: text === 'none' ? null : Number(text) }
}

/** The models none of whose versions read the entity: neither now nor when they were pushed. */
async function modelsWithout(db: Database, entity: string): Promise<string[]> {
  const definitions = await storedDefinitions(db.kysely)
  const usesOf = entityUses(entity, definitions)
  const pushed = await db.kysely
    .selectFrom('lockstep.model_versions')
    .select(['model', 'service_name', 'service_version'])
    .distinct()
    .execute()
  const services: { readonly model: string; readonly service: DefinitionId }[] = [
    ...definitions.flatMap((each) => (each.kind === 'model' ? [{ model: each.name, service: each.spec.service }] : [])),
    ...pushed.map(({ model, service_name: name, service_version: version }) => ({ model, service: `${name}@${version}` as const })),
  ]
  const reading = new Set(services.flatMap(({ model, service }) => (usesOf(service).length > 0 ? [model] : [])))
  return [...new Set(services.map(({ model }) => model))].filter((model) => !reading.has(model))
}

interface KeyedRow {
  readonly moment: string
  readonly part: string
  readonly model: string
  readonly version: number
  readonly role: string
  readonly columns: Buffer
}

async function forgetIn(
  db: Database,
  table: 'rollups' | 'merged_rollups',
  erased: ForgottenEntity,
  others: readonly string[],
  signal: AbortSignal | undefined,
): Promise<number> {
  const part = table === 'rollups' ? 'process' : 'step'
  const key = `(at, ${part}, model, version, role)`
  let after: KeyedRow | undefined
  let removed = 0
  do {
    signal?.throwIfAborted()
    after = await db.kysely.transaction().execute(async (transaction) => {
      const next = after === undefined ? sql`true` : sql`${sql.raw(key)} > ${keyOf(after)}`
      const { rows } = await sql<KeyedRow>`
        SELECT at::text AS moment, ${sql.ref(part)} AS part, model, version, role, columns FROM ${sql.table(`lockstep.${table}`)}
        WHERE columns IS NOT NULL AND NOT (model = ANY (${others}::text[])) AND ${next}
        ORDER BY ${sql.raw(key.slice(1, -1))} LIMIT ${sql.lit(rowsAtOnce)} FOR UPDATE`.execute(transaction)
      for (const row of rows) {
        const columns = decodeRollup(
          () => nameOf(row, table),
          () => ColumnsSummary.decode(row.columns),
        )
        // another version of Lockstep wrote the row, and its own erase finds it
        if (columns?.forget(erased) !== true) continue
        await sql`UPDATE ${sql.table(`lockstep.${table}`)} SET columns = ${columns.encode()} WHERE ${sql.raw(key)} = ${keyOf(row)}`.execute(
          transaction,
        )
        removed++
      }
      return rows.length < rowsAtOnce ? undefined : rows.at(-1)
    })
  } while (after !== undefined)
  return removed
}

function nameOf({ part, ...row }: KeyedRow, table: 'rollups' | 'merged_rollups'): RollupName {
  return table === 'rollups' ? { ...row, step: 'minute', process: part } : { ...row, step: part === 'day' ? 'day' : 'hour' }
}

function keyOf({ moment, part, model, version, role }: KeyedRow) {
  return sql`(${moment}::timestamptz, ${part}::text, ${model}::text, ${version}::integer, ${role}::text)`
}
