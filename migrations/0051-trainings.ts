import { type Kysely, sql } from 'kysely'

/** Trainings are definitions. Their runs are jobs. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table lockstep.definitions drop constraint definitions_kind_check`.execute(db)
  await sql`
    alter table lockstep.definitions add constraint definitions_kind_check
      check (kind in ('entity', 'source', 'view', 'onDemand', 'service', 'model', 'outcome', 'monitor', 'channel', 'experiment', 'batch', 'pipeline', 'training'))`.execute(
    db,
  )
}
