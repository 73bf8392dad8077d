import { LockstepError } from '../kernel/errors.ts'
import type { Actor } from '../runtime/audit.ts'
import { recordAudit } from '../runtime/audit.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { changeTransaction } from './change-transaction.ts'
import { findTrainingSet } from './models/trained-features.ts'

/**
 * Deletes a training set from the registry. It waits for a push that may name the set, and a push waits for it.
 *
 * @param id the complete id
 * @param removeFiles removes its files, after all checks have passed; if it throws, the set stays
 * @param options.dryRun whether only to check that it can be deleted
 * @returns what `removeFiles` returns
 * @throws LockstepError `IN_USE` while a model version names it, `UNKNOWN_DEFINITION`, and what `removeFiles` throws
 */
export async function deleteTrainingSet(
  db: Database,
  id: string,
  by: Actor,
  removeFiles: () => Promise<readonly string[]>,
  { dryRun = false } = {},
): Promise<readonly string[]> {
  return await changeTransaction(db, dryRun, async (transaction) => {
    const { service, path } = await findTrainingSet(transaction, id)
    const users = await transaction
      .selectFrom('lockstep.model_versions')
      .select(['model', 'version'])
      .where('dataset', '=', id)
      .orderBy('model')
      .orderBy('version')
      .execute()
    if (users.length > 0) {
      const versions = users.map(({ model, version }) => `${model}@${version}`)
      throw new LockstepError(
        'IN_USE',
        `The training set "${id}" cannot be deleted: ${versions.join(', ')} ${versions.length === 1 ? 'was' : 'were'} trained on it. Delete those versions first: lockstep model delete ${versions[0]}.`,
        { details: { id, versions } },
      )
    }
    const files = dryRun ? [] : await removeFiles()
    await transaction.deleteFrom('lockstep.datasets').where('id', '=', id).execute()
    await recordAudit({ kysely: transaction }, by, { action: 'dataset.delete', subject: id, before: { service, path }, after: { files } })
    return files
  })
}
