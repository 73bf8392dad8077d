import { type Kysely, sql } from 'kysely'

/** What was found out about a model once an hour: its quality, and the drift of its versions. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lockstep.model_figures (
      model text not null,
      kind text not null check (kind in ('quality', 'drift')),
      version integer not null,
      as_of timestamptz not null,
      report json not null,
      created_at timestamptz not null default clock_timestamp(),
      primary key (model, kind, version, as_of)
    )`.execute(db)
}
