import { rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { LockstepError } from '../../kernel/errors.ts'
import { ownEmbeddedFolder } from '../../runtime/embedded-owner.ts'

/** The folder of a development store. */
export interface DevFolder {
  readonly path: string
  /** Removes it, and the folder above it if that is empty then. Call it when the store is closed. */
  remove(): Promise<void>
}

/**
 * An empty folder for a development store. What a killed process left there is removed.
 *
 * @param directory the folder of the embedded database, which stays as it is
 * @throws LockstepError `EMBEDDED_IN_USE` if another process uses the folder; `WRITE_FAILED`, `CONFIG_INVALID`
 */
export async function takeDevFolder(directory: string): Promise<DevFolder> {
  const path = join(directory, 'dev')
  const owner = await ownEmbeddedFolder(path).catch((error: unknown) => {
    if (!(error instanceof LockstepError) || error.code !== 'EMBEDDED_IN_USE') throw error
    const { pid } = error.details
    throw new LockstepError(
      'EMBEDDED_IN_USE',
      `Another "lockstep dev" runs in this project${typeof pid === 'number' ? ` (process ${pid})` : ''}. Stop it, or set LOCKSTEP_DIR to another folder.`,
      { cause: error, details: error.details },
    )
  })
  try {
    for (const name of ['postgres', 'postgres.unfinished', 'online']) await rm(join(path, name), { recursive: true, force: true })
  } finally {
    await owner.release()
  }
  return {
    path,
    async remove() {
      await rm(path, { recursive: true, force: true })
      // it stays if something else is in it
      await rmdir(directory).catch(() => undefined)
    },
  }
}
