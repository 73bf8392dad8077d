import { sql } from 'kysely'
import type { Database } from '../postgres/database.ts'
import { endJob } from './end-job.ts'
import type { JobKindName } from './job-kinds.ts'

/**
 * Whether a job `j` is older than its kind keeps it. Failed jobs are kept longer, because people look for them later.
 * The first expression is that of the index `jobs_kept_until`.
 */
const isOld = sql`(j.finished_at at time zone 'UTC' + make_interval(days => greatest(j.keep_days, 30 * (j.state = 'failed')::int)))
  < now() at time zone 'UTC' and j.finished_at is not null`

/** Whether there is a newer job of the kind, scope and key of `j`: one look into the index `jobs_key`. */
const isSurpassed = sql.join(
  [sql`o.key = j.key`, sql`j.key is null and o.key is null`].map(
    (hasKey) => sql`exists (select from lockstep.jobs o where o.kind = j.kind and o.scope = j.scope and ${hasKey} and o.id > j.id)`,
  ),
  sql` or `,
)

/**
 * Deletes ended jobs that are older than their kinds keep them; those that failed stay for a month at least. The newest
 * of each kind, scope and key stays: it says what became of the last one, and for which instant of a schedule there was
 * a job. Of those that stay, cleans that never succeeded end at the same time.
 *
 * @returns how many
 */
export async function forgetJobs({ kysely }: Pick<Database, 'kysely'>): Promise<number> {
  await sql`
    update lockstep.job_chunks c set state = 'closed', claim = null from lockstep.jobs j where j.id = c.job and c.state = 'open' and ${isOld}`.execute(
    kysely,
  )
  const { numAffectedRows = 0n } = await sql`delete from lockstep.jobs j where ${isOld} and (${isSurpassed})`.execute(kysely)
  return Number(numAffectedRows)
}

/**
 * Ends jobs of a scope that no worker has taken a step of for a week. Of an online store, which was emptied and is
 * another one since, they are cancelled. A run of a training fails: somebody has to install its trainer.
 *
 * @returns how many
 */
export async function endAbandonedJobs({ kysely }: Pick<Database, 'kysely'>): Promise<number> {
  const { rows } = await sql<{ id: string; kind: string; scope: string }>`
    select id, kind, scope from lockstep.jobs j
    where state = 'running' and scope <> '' and not exists (
      select from lockstep.job_chunks c
      where c.job = j.id and c.state = 'open' and c.claimable_at > clock_timestamp() - interval '7 days'
    )`.execute(kysely)
  for (const { id, kind, scope } of rows) {
    if (kind === ('training' satisfies JobKindName)) {
      const message = `No worker had the trainer "${scope}" for a week. Put an executable file of this name into the folder LOCKSTEP_TRAINERS of a worker, then run "lockstep job retry ${id}".`
      await endJob({ kysely }, Number(id), 'failed', { error: { code: 'TRAINER_MISSING', message, details: { trainer: scope } } })
    } else {
      const message = `No worker has taken it for a week: none uses "${scope}" any more.`
      await endJob({ kysely }, Number(id), 'cancelled', { error: { code: 'STORE_MISMATCH', message } })
    }
  }
  return rows.length
}
