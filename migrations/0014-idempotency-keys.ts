import { type Kysely, sql } from 'kysely'

/** Requests with an idempotency key, so that a repeated request is not executed twice. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lockstep.idempotency_keys (
      owner text not null,
      key text not null,
      fingerprint text not null,
      claim text not null,
      created_at timestamptz not null default now(),
      busy_until timestamptz not null,
      status integer,
      content_type text,
      body bytea,
      primary key (owner, key)
    )`.execute(db)
  await sql`create index idempotency_keys_by_time on lockstep.idempotency_keys (created_at)`.execute(db)
}
