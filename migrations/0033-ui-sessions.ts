import { type Kysely, sql } from 'kysely'

/** Sessions of the dashboard and the one-time codes that begin them, by the SHA-256 of their secrets. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table lockstep.api_keys
      drop constraint api_keys_scopes_check,
      add constraint api_keys_scopes_check
        check (cardinality(scopes) > 0 and scopes <@ array[
          'read', 'predict', 'push', 'metrics', 'admin', 'ui:read', 'ui:operate', 'ui:admin', 'explain:read'])`.execute(db)
  await sql`
    create table lockstep.ui_sessions (
      hash bytea primary key check (length(hash) = 32),
      actor text not null,
      key_id text references lockstep.api_keys (id),
      scopes text[] not null,
      created_at timestamptz not null default now(),
      seen_at timestamptz not null default now(),
      expires_at timestamptz not null
    )`.execute(db)
  await sql`create index ui_sessions_by_expiry on lockstep.ui_sessions (expires_at)`.execute(db)
  await sql`
    create table lockstep.ui_codes (
      hash bytea primary key check (length(hash) = 32),
      actor text not null,
      expires_at timestamptz not null
    )`.execute(db)
}
