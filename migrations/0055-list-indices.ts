import { type Kysely, sql } from 'kysely'

/** Indices in the order of lists, and of models, so that a page reads its own rows and not those of a year. */
export async function up(db: Kysely<unknown>): Promise<void> {
  // all that a server loads; retired versions stay for the history
  await sql`create index definitions_current on lockstep.definitions (name, version) where retired_at is null`.execute(db)
  // what runs or fires is first, and then the newest
  await sql`create index jobs_listed on lockstep.jobs ((state = 'running'), id)`.execute(db)
  await sql`create index jobs_of_kind on lockstep.jobs (kind, (state = 'running'), id)`.execute(db)
  // the newest job of each subject
  await sql`create index jobs_by_subject on lockstep.jobs (kind, subject, id)`.execute(db)
  await sql`create index alerts_listed on lockstep.alerts ((state = 'firing'), id)`.execute(db)
  await sql`create index alerts_of_monitor on lockstep.alerts (monitor, (state = 'firing'), id)`.execute(db)
  // a model has a small part of the rows of a period
  await sql`create index rollups_by_model on lockstep.rollups (model, at, version, role)`.execute(db)
  await sql`create index merged_rollups_by_model on lockstep.merged_rollups (model, step, at, version, role) include (parts)`.execute(db)
}
