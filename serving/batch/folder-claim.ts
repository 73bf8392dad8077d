import { createHash } from 'node:crypto'
import { LockstepError } from '../../kernel/errors.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { openObjectStore } from '../../runtime/storage/open-store.ts'
import { claimName } from './batch-spec.ts'
import { createText, readJson } from './folder-files.ts'

/** The claim that keeps batches of other deployments out of a folder until the folder's batch has ended. */
export interface FolderClaim {
  /** @returns null: no batch has claimed the folder */
  read(): Promise<FoundClaim | null>
  /** As `read`. @throws LockstepError `FILE_EXISTS` if a batch of another deployment has the folder */
  refuseOthers(): Promise<FoundClaim | null>
  /** @throws LockstepError as `refuseOthers` */
  take(): Promise<void>
  release(): Promise<void>
}

interface FoundClaim {
  /** The id of the batch. */
  readonly id: unknown
  /** Whether it is of this deployment: each has a registry. */
  readonly isOurs: boolean
  /** Whether it is of this owner. */
  readonly isOwn: boolean
}

/** @param owner the job, or the one process that writes */
export function folderClaim(db: Database, out: string, { id, owner }: { readonly id: string; readonly owner: string }): FolderClaim {
  const url = `${out}/${claimName}`

  async function read(): Promise<FoundClaim | null> {
    const claim = await readJson(url)
    if (claim === null) return null
    const isOurs = claim['registry'] === (await registryKey(db))
    return { id: claim['id'], isOurs, isOwn: isOurs && claim['owner'] === owner }
  }

  async function refuseOthers(): Promise<FoundClaim | null> {
    const claim = await read()
    if (claim === null || claim.isOurs) return claim
    throw new LockstepError(
      'FILE_EXISTS',
      `"${out}" has files of the batch "${String(claim.id)}" of another deployment of Lockstep, which may still run. Choose another folder. If that batch has ended, replace it (--overwrite).`,
      { details: { out, id: claim.id } },
    )
  }

  return {
    read,
    refuseOthers,
    async take() {
      const text = `${JSON.stringify({ registry: await registryKey(db), id, owner })}\n`
      // another deployment may have been faster
      if (!(await createText(url, text))) await refuseOthers()
    },
    release: async () => await (await openObjectStore(out)).remove(url),
  }
}

/** Names the registry to others, without its salt. */
async function registryKey({ kysely }: Pick<Database, 'kysely'>): Promise<string> {
  const { salt } = await kysely.selectFrom('lockstep.installation').select('salt').executeTakeFirstOrThrow()
  return createHash('sha256').update(salt).update('batches').digest('hex').slice(0, 12)
}
