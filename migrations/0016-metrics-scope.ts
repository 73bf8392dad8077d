import { type Kysely, sql } from 'kysely'

/** Allows keys with the scope for metrics only. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table lockstep.api_keys
      drop constraint api_keys_scopes_check,
      add constraint api_keys_scopes_check
        check (cardinality(scopes) > 0 and scopes <@ array['read', 'predict', 'push', 'metrics', 'admin'])`.execute(db)
}
