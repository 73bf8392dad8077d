import { type Kysely, sql } from 'kysely'

/** Finds a rare word in the audit log without a read of all records. The expressions are those of `readAudit`. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create index audit_log_by_words on lockstep.audit_log using gin (
      (array[actor, actor_name, split_part(actor, '@', 1)]),
      (array[action, split_part(action, '.', 1), substring(action from '^(.*)[.]'), subject, split_part(subject, '@', 1)])
    )`.execute(db)
}
