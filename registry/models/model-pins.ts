import type { Kysely } from 'kysely'
import type { LockstepTables } from '../../migrations/schema.ts'

/** The pinned version of each model. */
export async function readModelPins(handle: Kysely<LockstepTables>): Promise<ReadonlyMap<string, number>> {
  const rows = await handle.selectFrom('lockstep.model_pins').select(['model', 'version']).execute()
  return new Map(rows.map(({ model, version }) => [model, version]))
}
