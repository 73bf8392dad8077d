import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { LockstepError } from '../kernel/errors.ts'
import type { EmbeddedOwner } from '../runtime/embedded/embedded-owner.ts'
import { ownEmbeddedFolder } from '../runtime/embedded/embedded-owner.ts'
import { rootFolder } from './source-files.ts'

const keptMs = 24 * 3_600_000
const lockPollMs = 200

/**
 * A folder that is made of sources, and kept until they change: one process makes it, others wait. A folder that no run
 * has used for a day is removed.
 *
 * @param parent where the folders of earlier sources lie too
 * @param sources the files that it depends on, relative to the root folder
 * @param make fills a new folder
 */
export async function keptFolder(parent: string, sources: readonly string[], make: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(parent, await hashOf(sources))
  await makeFolderOnce(folder, make)
  const now = new Date()
  await utimes(folder, now, now)
  for (const each of (await readdir(parent)).map((name) => join(parent, name))) {
    const usedAt = await stat(each).then(
      ({ mtimeMs }) => mtimeMs,
      () => Infinity,
    )
    if (Date.now() - usedAt > keptMs) await rm(each, { recursive: true, force: true })
  }
  return folder
}

/**
 * Makes a folder where it is missing: one process makes it, others wait. It gets its name once it is complete, and what
 * a killed process has left of it is removed.
 *
 * @param make fills a new folder
 */
export async function makeFolderOnce(folder: string, make: (partial: string) => Promise<void>): Promise<void> {
  if (existsSync(folder)) return
  await withLock(folder, async () => {
    if (existsSync(folder)) return
    const parent = dirname(folder)
    const prefix = `${basename(folder)}.partial-`
    for (const name of await readdir(parent))
      // a child of the killed process may still write there: that harms no other folder, and later runs remove the rest
      if (name.startsWith(prefix)) await rm(join(parent, name), { recursive: true, force: true }).catch(() => undefined)
    const partial = await mkdtemp(join(parent, prefix))
    await make(partial)
    await rename(partial, folder)
  })
}

async function hashOf(sources: readonly string[]): Promise<string> {
  const hash = createHash('sha256')
  for (const path of sources.toSorted()) hash.update(`${path}\n`).update(await readFile(join(rootFolder, path)))
  return hash.digest('hex').slice(0, 16)
}

/**
 * Runs `work` in one process at a time. The system frees the lock of a process that ends: it is a socket, in a folder
 * beside `path`.
 */
export async function withLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  const lock = await own(`${path}.owner`)
  try {
    return await work()
  } finally {
    await lock.release()
  }
}

async function own(directory: string): Promise<EmbeddedOwner> {
  for (;;) {
    try {
      return await ownEmbeddedFolder(directory)
    } catch (error) {
      if (!(error instanceof LockstepError) || error.code !== 'EMBEDDED_IN_USE') throw error
      await setTimeout(lockPollMs)
    }
  }
}
