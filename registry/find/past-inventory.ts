import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { DefinitionScope } from '../definition.ts'
import { definitionsAt } from '../definition-states.ts'
import type { ModelAlias } from '../models/model-aliases.ts'
import { readModelVersions } from '../models/model-versions.ts'
import { storedCode } from '../verified-code.ts'
import type { Inventory } from './inventory.ts'
import { readMark, readTrainingSets } from './inventory.ts'

/**
 * All that could be found by name at a moment. Training sets and versions of models that were deleted since are
 * missing, and aliases may point at these.
 */
export interface PastInventory extends Inventory {
  /** The version that each model was pinned to. */
  readonly pins: ReadonlyMap<string, number>
  /** Versions of models that were deleted since, as `delay@2`. */
  readonly deletedVersions: readonly string[]
}

export async function readInventoryAt(db: Database, moment: Date, scope: DefinitionScope): Promise<PastInventory> {
  return await db.kysely
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute(async (transaction) => {
      const definitions = await definitionsAt(transaction, moment, scope)
      const { mark, revision } = await readMark(transaction)
      const versions = (await readModelVersions(transaction)).filter(({ createdAt }) => createdAt <= moment)
      const { aliases, pins, pushed } = await readModelEventsAt(transaction, moment)
      const here = new Set(versions.map(({ model, version }) => `${model}@${version}`))
      return {
        mark: `${mark}@${moment.getTime()}`,
        revision,
        definitions,
        code: await storedCode(
          transaction,
          definitions.filter(({ retired }) => !retired),
        ),
        versions,
        aliases,
        datasets: (await readTrainingSets(transaction)).filter(({ createdAt }) => createdAt <= moment),
        pins,
        deletedVersions: pushed.filter((label) => !here.has(label)),
      }
    })
}

interface ModelsAt {
  readonly aliases: readonly ModelAlias[]
  readonly pins: ReadonlyMap<string, number>
  readonly pushed: readonly string[]
}

/** The version that an alias of a model pointed at; null: none. */
export async function aliasAt({ kysely }: Pick<Database, 'kysely'>, model: string, alias: string, moment: Date): Promise<number | null> {
  const last = await kysely
    .selectFrom('lockstep.model_events')
    .select('to_version')
    .where('model', '=', model)
    .where('alias', '=', alias)
    .where('at', '<=', moment)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  return last?.to_version ?? null
}

/** By the history of models, which is kept for good. */
async function readModelEventsAt(handle: Kysely<LockstepTables>, moment: Date): Promise<ModelsAt> {
  const { rows: aliases } = await sql<ModelAlias>`
    select model, alias, version, '[]'::json as former, at as "setAt" from (
      select distinct on (model, alias) model, alias, to_version as version, at from lockstep.model_events
      where alias is not null and at <= ${moment} order by model, alias, id desc
    ) last where version is not null order by model, alias`.execute(handle)
  const { rows: pins } = await sql<{ model: string; version: number | null }>`
    select distinct on (model) model, to_version as version from lockstep.model_events
    where action in ('pin', 'unpin') and at <= ${moment} order by model, id desc`.execute(handle)
  const { rows: pushed } = await sql<{ label: string; deleted: boolean }>`
    select distinct on (model, version) model || '@' || version as label, action = 'remove' as deleted from (
      select id, model, action, coalesce(to_version, from_version) as version from lockstep.model_events
      where alias is null and action in ('push', 'remove') and at <= ${moment}
    ) changes order by model, version, id desc`.execute(handle)
  return {
    aliases,
    pins: new Map(pins.flatMap(({ model, version }) => (version === null ? [] : [[model, version] as const]))),
    pushed: pushed.filter(({ deleted }) => !deleted).map(({ label }) => label),
  }
}
