import { readdir, rm, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LockstepError } from '../../kernel/errors.ts'
import { ownEmbeddedFolder } from '../../runtime/embedded/embedded-owner.ts'

/** The folder of a development store. */
export interface DevFolder {
  readonly path: string
  /** Removes it, and the folder above it if that is empty then. Call it when the store is closed. */
  remove(): Promise<void>
}

/** The file that says that a folder is a development store, so that all in it may be removed. */
const marker = 'development-store'

/**
 * An empty folder for a development store. What a killed process left there is removed.
 *
 * @param directory the folder of the embedded database, which stays as it is
 * @throws LockstepError `EMBEDDED_IN_USE` if another process uses the folder; `CONFIG_INVALID` if it has files of
 *   others; `WRITE_FAILED`
 */
export async function takeDevFolder(directory: string): Promise<DevFolder> {
  const path = join(directory, 'dev')
  await refuseOtherFiles(path)
  const owner = await ownEmbeddedFolder(path).catch((error: unknown) => {
    if (!(error instanceof LockstepError) || error.code !== 'EMBEDDED_IN_USE') throw error
    throw new LockstepError(
      'EMBEDDED_IN_USE',
      `Another "lockstep dev" runs in this project (process ${String(error.details['pid'])}). Stop it, or set LOCKSTEP_DIR to another folder.`,
      { cause: error, details: error.details },
    )
  })
  try {
    await writeFile(join(path, marker), 'lockstep dev removes this folder when it ends.\n')
    await clear(path)
  } finally {
    await owner.release()
  }
  return {
    path,
    async remove() {
      // the marker goes last: without it the rest would be taken for files of others
      await clear(path)
      await rm(path, { recursive: true, force: true })
      // it stays if something else is in it
      await rmdir(directory).catch(() => undefined)
    },
  }
}

/** LOCKSTEP_DIR may name any folder, and what its folder `dev` holds may be the user's. */
async function refuseOtherFiles(path: string): Promise<void> {
  const names = await namesIn(path)
  const [other] = names
  if (other === undefined || names.includes(marker)) return
  throw new LockstepError(
    'CONFIG_INVALID',
    `The folder "${path}" is no development store: it has "${other}". "lockstep dev" would remove that. Move it, or set LOCKSTEP_DIR to another folder.`,
    { details: { path, name: other } },
  )
}

async function clear(path: string): Promise<void> {
  for (const name of await namesIn(path)) if (name !== marker) await rm(join(path, name), { recursive: true, force: true })
}

/** The names in the folder, without the sockets of its owners. */
async function namesIn(path: string): Promise<string[]> {
  const names = await readdir(path).catch(() => [])
  return names.filter((name) => !/^owner-.*\.sock(\.new)?$/.test(name))
}
