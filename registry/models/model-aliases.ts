import type { Kysely } from 'kysely'
import type { LockstepTables } from '../../migrations/schema.ts'

/** The alias whose version answers a request that names none. */
export const championAlias = 'champion'

/** A name that points at a version of a model. */
export interface ModelAlias {
  readonly model: string
  readonly alias: string
  readonly version: number
  /** Its previous versions, most recent last, for rollbacks. */
  readonly former: readonly number[]
  readonly setAt: Date
}

/** The aliases of a model, or of all models, by name. */
export async function readModelAliases(handle: Kysely<LockstepTables>, model?: string): Promise<ModelAlias[]> {
  const rows = await handle
    .selectFrom('lockstep.model_aliases')
    .selectAll()
    .$if(model !== undefined, (query) => query.where('model', '=', model ?? ''))
    .orderBy('model')
    .orderBy('alias')
    .execute()
  // only promote and rollback write these rows
  return rows.map(({ set_at, ...row }) => ({ ...row, former: row.former as number[], setAt: set_at }))
}

/** The names of a model's aliases that point at a version of it. */
export function aliasesOf({ aliases }: { readonly aliases: ReadonlyMap<string, ModelAlias> }, version: number): string[] {
  return [...aliases.values()].filter((each) => each.version === version).map(({ alias }) => alias)
}
