import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import { LockstepError } from '../../kernel/errors.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Signing } from '../../runtime/signing.ts'
import type { DefinitionComparison } from './compare.ts'
import type { Definition } from '../definition.ts'
import { recordDefinitionStates } from '../definition-states.ts'
import { sha256 } from '../sha256.ts'
import { definitionFacts } from '../signatures.ts'

/** How many rows one statement writes. */
const rowsAtOnce = 500

/**
 * Stores texts of transforms under their hashes. It also repairs a text that was changed outside of Lockstep.
 *
 * @returns whether one was not stored yet
 */
export async function storeCode(transaction: Kysely<LockstepTables>, code: ReadonlyMap<string, string>): Promise<boolean> {
  for (const [hash, body] of code) {
    if (sha256(body) === hash) continue
    throw new LockstepError('CODE_HASH_MISMATCH', `The bundled code "${hash}" does not have that hash; load the definitions file again.`)
  }
  let isNew = false
  for (const rows of groupsOf([...code].map(([hash, body]) => ({ hash, body })))) {
    const written = await transaction
      .insertInto('lockstep.code')
      .values(rows)
      .onConflict((conflict) =>
        conflict
          .column('hash')
          .doUpdateSet(({ ref }) => ({ body: ref('excluded.body') }))
          .whereRef('lockstep.code.body', '!=', sql.ref('excluded.body')),
      )
      .returning('hash')
      .execute()
    isNew ||= written.length > 0
  }
  return isNew
}

/**
 * Stores declared definitions that differ from the stored ones, and signs them.
 *
 * @returns whether there were some
 */
export async function storeDefinitions(
  transaction: Kysely<LockstepTables>,
  comparisons: readonly DefinitionComparison[],
  signing: Signing | undefined,
): Promise<boolean> {
  const changed = comparisons.flatMap(changedDefinition)
  const unsigned = comparisons.flatMap((comparison) => unsignedDefinition(comparison, signing))
  for (const rows of groupsOf([...changed, ...unsigned])) {
    await transaction
      .insertInto('lockstep.definitions')
      .values(
        rows.map((definition) => ({
          kind: definition.kind,
          name: definition.name,
          version: definition.version,
          fingerprint: definition.fingerprint,
          spec: JSON.stringify(definition.spec),
          operational: JSON.stringify(definition.operational),
          retired_at: null,
          signature: signing?.sign(definitionFacts(definition)) ?? null,
        })),
      )
      .onConflict((conflict) =>
        conflict.columns(['kind', 'name', 'version']).doUpdateSet(({ ref }) => ({
          fingerprint: ref('excluded.fingerprint'),
          spec: ref('excluded.spec'),
          operational: ref('excluded.operational'),
          retired_at: null,
          signature: ref('excluded.signature'),
        })),
      )
      .execute()
  }
  await recordDefinitionStates(transaction, changed)
  return changed.length + unsigned.length > 0
}

/** The definition as it is stored, if it is new or differs. */
function changedDefinition({ declared, stored, semantic, operational }: DefinitionComparison): Definition[] {
  // only definitions without versions change their meaning in place, and all of a development store
  if (stored === null || semantic.length > 0) return [declared]
  // what means the same stays as it is stored
  return operational.length > 0 || stored.retired ? [{ ...stored, operational: declared.operational }] : []
}

/** The stored definition, if only its signature is missing or by an older key. */
function unsignedDefinition(comparison: DefinitionComparison, signing: Signing | undefined): Definition[] {
  const { stored } = comparison
  if (stored === null || signing === undefined || changedDefinition(comparison).length > 0) return []
  return signing.isNewest(definitionFacts(stored), stored.signature) ? [] : [stored]
}

/** Marks definitions as pruned. They stay stored, so their versions stay taken. */
export async function retire(transaction: Kysely<LockstepTables>, definitions: readonly Definition[]): Promise<void> {
  if (definitions.length === 0) return
  const [kinds, names, versions] = [
    definitions.map(({ kind }) => kind),
    definitions.map(({ name }) => name),
    definitions.map(({ version }) => version),
  ]
  await sql`
    update lockstep.definitions d set retired_at = now()
    from unnest(${kinds}::text[], ${names}::text[], ${versions}::int[]) as r (kind, name, version)
    where (d.kind, d.name, d.version) = (r.kind, r.name, r.version)`.execute(transaction)
  await recordDefinitionStates(transaction, definitions)
}

function groupsOf<Row>(rows: readonly Row[]): Row[][] {
  return Array.from({ length: Math.ceil(rows.length / rowsAtOnce) }, (_, i) => rows.slice(i * rowsAtOnce, (i + 1) * rowsAtOnce))
}
