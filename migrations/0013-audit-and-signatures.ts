import { type Kysely, sql } from 'kysely'

/** The audit log, and the signatures of definitions and models. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lockstep.audit_log (
      id bigint generated always as identity primary key,
      at timestamptz not null default now(),
      actor text not null,
      actor_name text,
      action text not null,
      subject text not null,
      before json,
      after json,
      reason text,
      request_id text
    )`.execute(db)
  await sql`create index audit_log_by_time on lockstep.audit_log (at)`.execute(db)
  await sql`alter table lockstep.definitions add column signature text`.execute(db)
  await sql`alter table lockstep.model_versions add column signature text`.execute(db)
}
