import { type Kysely, sql } from 'kysely'

/** The last rollout of a model, and the silences of an alert's monitor. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`create index rollouts_by_model on lockstep.rollouts (model, id desc)`.execute(db)
  await sql`create index alert_silences_by_monitor on lockstep.alert_silences (monitor, ends_at)`.execute(db)
}
