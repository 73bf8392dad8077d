import { type Kysely, sql } from 'kysely'

/** A change of a definition writes its state in the same transaction, so no state is recorded later than it began. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table lockstep.definition_states drop column recorded_at`.execute(db)
}
