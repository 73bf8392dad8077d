import { type Kysely, sql } from 'kysely'

/** What later features and outputs are compared with: of a training set, or of a model version itself. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table lockstep.baselines (
      id bigint generated always as identity primary key,
      dataset text unique references lockstep.datasets (id) on delete cascade,
      model text,
      version integer,
      origin json not null,
      rows bigint not null check (rows >= 0),
      sampled_rows integer not null check (sampled_rows >= 0),
      entities integer not null check (entities >= 0),
      columns json not null,
      sample bytea,
      effects json,
      created_at timestamptz not null default clock_timestamp(),
      unique (model, version),
      foreign key (model, version) references lockstep.model_versions (model, version) on delete cascade,
      check ((dataset is null) <> (model is null) and (model is null) = (version is null))
    )`.execute(db)
}
