import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Definition, DefinitionScope } from '../definition.ts'
import { currentDefinitions, storedDefinitions } from '../definition.ts'
import type { ModelAlias } from '../models/model-aliases.ts'
import { readModelAliases } from '../models/model-aliases.ts'
import type { ModelVersion } from '../models/model-versions.ts'
import { readModelVersions } from '../models/model-versions.ts'
import { storedCode } from '../verified-code.ts'

/** All that can be found by name, as of one moment. It never changes; `createInventoryReader` reads the next one. */
export interface Inventory {
  /** Another one whenever anything below is another: usable as an entity tag of HTTP. */
  readonly mark: string
  readonly revision: number
  /** In `kindOrder`, by name and version. Lineages, and pages of versions, need retired ones, too. */
  readonly definitions: readonly Definition[]
  /** The texts of transforms that are not retired, by hash. */
  readonly code: ReadonlyMap<string, string>
  /** Pushed versions, by model and version. */
  readonly versions: readonly ModelVersion[]
  readonly aliases: readonly ModelAlias[]
  /** Newest first. */
  readonly datasets: readonly TrainingSetFacts[]
}

/** A training set without its manifest, which can be large. */
export interface TrainingSetFacts {
  readonly id: string
  /** `flight_features@1` */
  readonly service: string
  /** The fingerprint of the service. */
  readonly fingerprint: string
  /** The file, the folder of numbered parts, or each file of a split set. */
  readonly paths: readonly string[]
  readonly rows: number
  readonly createdAt: Date
}

export async function readInventory(db: Database, scope: DefinitionScope): Promise<Inventory> {
  return await db.kysely
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute(async (transaction) => {
      const definitions = await (scope === 'all' ? storedDefinitions : currentDefinitions)(transaction)
      return {
        ...(await readMark(transaction)),
        definitions,
        code: await storedCode(
          transaction,
          definitions.filter(({ retired }) => !retired),
        ),
        versions: await readModelVersions(transaction),
        aliases: await readModelAliases(transaction),
        datasets: await readTrainingSets(transaction),
      }
    })
}

/** Reads the inventory again only if something has changed, which one short query checks. */
export function createInventoryReader(db: Database, scope: DefinitionScope): () => Promise<Inventory> {
  let last: { readonly mark: string; readonly inventory: Promise<Inventory> } | null = null
  return async () => {
    const { mark } = await readMark(db.kysely)
    if (last?.mark !== mark) {
      const inventory = readInventory(db, scope)
      last = { mark, inventory }
      inventory.catch(() => (last = null))
    }
    return await last.inventory
  }
}

/**
 * A training set does not change the registry's revision. Another registry counts its revisions from the start, as each
 * store of `lockstep dev` does, so the mark also says when the first of the definitions was stored.
 */
export async function readMark(handle: Kysely<LockstepTables>): Promise<Pick<Inventory, 'mark' | 'revision'>> {
  const { rows } = await sql<{ readonly revision: string | null; readonly mark: string }>`
    select (select revision::text from lockstep.registry_state) as revision,
           concat_ws('.',
             (select (extract(epoch from created_at) * 1000000)::bigint
                from lockstep.definitions order by kind, name, version limit 1),
             count(*), (extract(epoch from max(created_at)) * 1000000)::bigint) as mark
    from lockstep.datasets`.execute(handle)
  const { revision, mark = '' } = rows[0] ?? {}
  return { mark: `${revision ?? 0}.${mark}`, revision: Number(revision ?? 0) }
}

export async function readTrainingSets(handle: Kysely<LockstepTables>): Promise<TrainingSetFacts[]> {
  const rows = await handle
    .selectFrom('lockstep.datasets')
    .select(['id', 'service', 'fingerprint', 'created_at'])
    .select(
      sql<string>`(coalesce((manifest->'file'->>'rows')::bigint, 0) + coalesce((select sum((each->>'rows')::bigint)
        from json_array_elements(coalesce(manifest->'otherFiles', '[]')) each), 0))::text`.as('rows'),
    )
    .select(
      sql<string[]>`case when manifest->'file'->>'part' is null then array[path] else array[manifest->'file'->>'path'] ||
        array(select each->>'path' from json_array_elements(manifest->'otherFiles') each) end`.as('paths'),
    )
    .orderBy('created_at', 'desc')
    .orderBy('id')
    .execute()
  return rows.map(({ created_at, rows: count, ...row }) => ({ ...row, rows: Number(count), createdAt: created_at }))
}
