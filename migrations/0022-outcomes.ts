import { type Kysely, sql } from 'kysely'

/** Allows definitions of outcomes. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table lockstep.definitions
      drop constraint definitions_kind_check,
      add constraint definitions_kind_check
        check (kind in ('entity', 'source', 'view', 'onDemand', 'service', 'model', 'outcome'))`.execute(db)
}
