import type { Kysely } from 'kysely'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Definition, DefinitionKey } from '../definition.ts'
import { definitionKey, displayName, references } from '../definition.ts'

/** A pushed model version and the feature service that it was trained on. */
export interface ModelUse {
  readonly model: string
  readonly version: number
  readonly service: DefinitionKey
}

export async function modelUses(handle: Kysely<LockstepTables>): Promise<ModelUse[]> {
  const rows = await handle
    .selectFrom('lockstep.model_versions')
    .select(['model', 'version', 'service_name', 'service_version'])
    .orderBy('model')
    .orderBy('version')
    .execute()
  return rows.map((row) => ({ model: row.model, version: row.version, service: `service ${row.service_name}@${row.service_version}` }))
}

/**
 * The direct and indirect users of each definition: the printed names of the definitions and model versions that stop
 * working without it.
 */
export function usersByDefinition(
  definitions: readonly Definition[],
  models: readonly ModelUse[],
): ReadonlyMap<DefinitionKey, ReadonlySet<string>> {
  const byKey = new Map(definitions.map((definition) => [definitionKey(definition), definition]))
  const users = new Map<DefinitionKey, Set<string>>()
  const visit = (key: DefinitionKey, user: string): void => {
    const known = users.get(key) ?? new Set()
    if (known.has(user)) return
    users.set(key, known.add(user))
    const definition = byKey.get(key)
    if (definition !== undefined) for (const next of references(definition)) visit(next, user)
  }
  for (const definition of definitions) for (const key of references(definition)) visit(key, displayName(definition))
  for (const { model, version, service } of models) visit(service, `model "${model}" version ${version}`)
  return users
}
