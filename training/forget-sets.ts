import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'kysely'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import { deleteTrainingSet } from '../registry/delete-training-set.ts'
import { trainingKind } from '../registry/trainings/training-spec.ts'
import type { Database } from '../runtime/postgres/database.ts'
import type { TrainingJob, TrainingTools } from './training-job.ts'
import { runFolder } from './training-set.ts'

/**
 * Deletes old training sets of a training, with their files, so that with the one of this run `keepSets` are left.
 * Those of model versions stay as well. A worker deletes only sets that are in its folder, and nothing that the
 * registry does not know, as another database may use the folder, too. A set that cannot be deleted stays.
 *
 * Files of a set that was never complete are deleted as well, once its run has ended.
 */
export async function forgetSets(
  { db, log, folder, keepSets }: TrainingTools,
  { subject: training, plan: { dataset } }: Pick<TrainingJob, 'subject' | 'plan'>,
): Promise<void> {
  const here = await readdir(join(folder, training)).catch(() => [])
  const others = here.filter((name) => name !== dataset)
  if (others.length === 0) return
  for (const id of await unregisteredSets(db, training, others)) {
    await rm(runFolder(folder, training, id), { recursive: true, force: true }).catch((error: unknown) => {
      log.warn({ training, dataset: id, error: messageOf(error) }, 'an unfinished training set cannot be deleted')
    })
  }
  if (others.length < keepSets) return
  const old = await db.kysely
    .selectFrom((of) =>
      of
        .selectFrom('lockstep.datasets')
        .select('id')
        .where('id', 'in', others)
        .orderBy('created_at', 'desc')
        .offset(keepSets - 1)
        .as('old'),
    )
    .select('old.id')
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('lockstep.model_versions').select('version').whereRef('dataset', '=', 'old.id'))),
    )
    .execute()
  const by = { actor: `training ${training}`, reason: `${keepSets} training sets are kept` }
  for (const { id } of old) {
    const path = runFolder(folder, training, id)
    try {
      await deleteTrainingSet(db, id, by, async () => {
        await rm(path, { recursive: true, force: true })
        return [path]
      })
    } catch (error) {
      // a model version that was registered meanwhile was trained on it
      if (error instanceof LockstepError && error.code === 'IN_USE') continue
      log.warn({ training, dataset: id, error: messageOf(error) }, 'an old training set cannot be deleted')
    }
  }
}

/** Those of ended runs of the training that did not get as far as a set. */
async function unregisteredSets({ kysely }: Database, training: string, ids: readonly string[]): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select j.plan ->> 'dataset' as id from lockstep.jobs j
    where j.kind = ${trainingKind} and j.subject = ${training} and j.state <> 'running' and j.plan ->> 'dataset' = any (${ids}::text[])
      and not exists (select from lockstep.datasets d where d.id = j.plan ->> 'dataset')`.execute(kysely)
  return rows.map(({ id }) => id)
}
