import { type Kysely, sql } from 'kysely'

/** API keys, by the public part of each: the key itself is not stored. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lockstep.api_keys (
      id text primary key,
      name text not null,
      hash bytea not null check (length(hash) = 32),
      scopes text[] not null check (cardinality(scopes) > 0 and scopes <@ array['read', 'predict', 'push', 'admin']),
      requests_per_second double precision check (requests_per_second > 0),
      rows_per_second double precision check (rows_per_second > 0),
      created_at timestamptz not null default now(),
      expires_at timestamptz,
      revoked_at timestamptz,
      last_used_at timestamptz,
      replaced_by text references lockstep.api_keys (id)
    )`.execute(db)
  await sql`
    create table lockstep.api_key_state (
      "only" boolean primary key default true check ("only"),
      revision integer not null
    )`.execute(db)
  await sql`insert into lockstep.api_key_state (revision) values (0)`.execute(db)
}
