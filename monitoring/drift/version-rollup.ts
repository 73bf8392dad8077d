import type { Window } from '../window.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Role } from '../role.ts'
import type { ModelRollup } from '../rollups/model-rollup.ts'
import { readRollup } from '../rollups/read-rollups.ts'

/** A shadow's rows count too: a version is asked for by its number. */
const roles: readonly Role[] = ['champion', 'canary', 'arm', 'shadow', 'requested', 'backfill']

/** All that a version answered in a window, in any role. */
export async function versionRollup(
  db: Pick<Database, 'query'>,
  model: string,
  version: number,
  { from, to }: Window,
): Promise<ModelRollup> {
  return await readRollup(db, { model, versions: [version], roles, from, to })
}
