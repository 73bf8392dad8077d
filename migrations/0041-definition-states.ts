import { type Kysely, sql } from 'kysely'

/** Each state that a definition had, so that the registry can be shown as of a moment. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lockstep.definition_states (
      id bigint generated always as identity primary key,
      kind text not null,
      name text not null,
      version integer not null,
      -- from when it held
      at timestamptz not null default now(),
      -- later than "at" in states that this migration wrote: changes between the two are not known
      recorded_at timestamptz not null default now(),
      fingerprint text not null,
      spec json not null,
      operational json not null,
      retired boolean not null
    )`.execute(db)
  await sql`create index definition_states_by_definition on lockstep.definition_states (kind, name, version, at)`.execute(db)
  await sql`
    insert into lockstep.definition_states (kind, name, version, at, fingerprint, spec, operational, retired)
    select kind, name, version, created_at, fingerprint, spec, operational, false from lockstep.definitions
    union all
    select kind, name, version, retired_at, fingerprint, spec, operational, true from lockstep.definitions where retired_at is not null
  `.execute(db)
}
