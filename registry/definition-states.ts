import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import type { LockstepTables } from '../migrations/schema.ts'
import type { Definition, DefinitionScope } from './definition.ts'
import { kindOrder } from './definition.ts'

/**
 * Keeps the states that definitions have from now on. Call it in the transaction that changes the definitions. The
 * newest state is never before an earlier one: a transaction may have waited for the lock, and a clock may be behind.
 */
export async function recordDefinitionStates(
  transaction: Kysely<LockstepTables>,
  definitions: readonly Pick<Definition, 'kind' | 'name' | 'version'>[],
): Promise<void> {
  if (definitions.length === 0) return
  const [kinds, names] = [definitions.map(({ kind }) => kind), definitions.map(({ name }) => name)]
  const versions = definitions.map(({ version }) => version)
  await sql`
    insert into lockstep.definition_states (kind, name, version, at, fingerprint, spec, operational, retired)
    select d.kind, d.name, d.version,
      greatest(now(), (select max(at) from lockstep.definition_states s where (s.kind, s.name, s.version) = (d.kind, d.name, d.version))),
      d.fingerprint, d.spec, d.operational, d.retired_at is not null
    from unnest(${kinds}::text[], ${names}::text[], ${versions}::int[]) with ordinality as c (kind, name, version, n)
    join lockstep.definitions d on (d.kind, d.name, d.version) = (c.kind, c.name, c.version)
    order by c.n`.execute(transaction)
}

/**
 * The definitions that the registry had at a moment, in `kindOrder`, by name and version.
 *
 * @param scope whether those that were retired then are among them
 */
export async function definitionsAt(handle: Kysely<LockstepTables>, moment: Date, scope: DefinitionScope): Promise<Definition[]> {
  const last = handle
    .selectFrom('lockstep.definition_states')
    .distinctOn(['name', 'version', 'kind'])
    .select(['id', 'retired'])
    .where('at', '<=', moment)
    .orderBy('name')
    .orderBy('version')
    .orderBy('kind')
    .orderBy('at', 'desc')
    .orderBy('id', 'desc')
  // the definitions themselves are large, so only those that are needed are sorted and read
  const rows = await handle
    .selectFrom('lockstep.definition_states')
    .select(['kind', 'name', 'version', 'fingerprint', 'spec', 'operational', 'retired'])
    .where('id', 'in', (query) =>
      query
        .selectFrom(last.as('last'))
        .select('id')
        .$if(scope === 'current', (found) => found.where('retired', '=', false)),
    )
    .orderBy('name')
    .orderBy('version')
    .execute()
  return rows
    .map((row) => ({ ...row, signature: null }) as Definition) // the states are copies of rows that apply wrote
    .sort((a, b) => kindOrder.indexOf(a.kind) - kindOrder.indexOf(b.kind))
}

/** When a definition was in the registry for the first time; null: never. @param name with or without its version */
export async function firstStateAt(
  handle: Kysely<LockstepTables>,
  kinds: readonly Definition['kind'][],
  reference: string,
): Promise<Date | null> {
  const [, name = reference, version] = /^(.*)@(\d+)$/.exec(reference) ?? []
  const row = await handle
    .selectFrom('lockstep.definition_states')
    .select((select) => select.fn.min('at').as('at'))
    .where('kind', 'in', [...kinds])
    .where('name', '=', name)
    .$if(version !== undefined, (query) => query.where('version', '=', Number(version)))
    .executeTakeFirst()
  return row?.at ?? null
}
