import { type Kysely, sql } from 'kysely'

/**
 * Receipts of erased entities, the remaining work of each erasure, and the views whose states are still to be removed
 * from a store.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lockstep.installation (
      "only" boolean primary key default true check ("only"),
      salt bytea not null
    )`.execute(db)
  await sql`
    insert into lockstep.installation (salt)
    values (decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'))`.execute(db)

  await sql`
    create table lockstep.erasures (
      id bigint generated always as identity primary key,
      entity text not null,
      key_hash text not null,
      receipt json not null,
      requested_at timestamptz not null default now(),
      finished_at timestamptz
    )`.execute(db)

  await sql`
    create table lockstep.erasure_states (
      erasure bigint not null references lockstep.erasures (id),
      view text not null,
      entity text not null,
      key bytea not null,
      emptied bytea,
      primary key (erasure, view, key)
    )`.execute(db)

  await sql`
    create table lockstep.removals (
      view text not null,
      store text not null,
      removed bigint not null default 0,
      requested_at timestamptz not null default now(),
      primary key (view, store)
    )`.execute(db)
}
