import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { rootFolder } from './source-files.ts'

const keptMs = 24 * 3_600_000

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
  await withLock(`${folder}.lock`, async () => {
    if (!existsSync(folder)) {
      const partial = `${folder}.${process.pid}`
      await make(partial)
      await rename(partial, folder)
    }
    const now = new Date()
    await utimes(folder, now, now)
  })
  for (const each of (await readdir(parent)).map((name) => join(parent, name))) {
    const usedAt = await stat(each).then(
      ({ mtimeMs }) => mtimeMs,
      () => Infinity,
    )
    if (Date.now() - usedAt > keptMs) await rm(each, { recursive: true, force: true })
  }
  return folder
}

async function hashOf(sources: readonly string[]): Promise<string> {
  const hash = createHash('sha256')
  for (const path of sources.toSorted()) hash.update(`${path}\n`).update(await readFile(join(rootFolder, path)))
  return hash.digest('hex').slice(0, 16)
}

/** Runs `work` in one process at a time. The lock of a process that has ended counts as free. */
export async function withLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(path), { recursive: true })
  for (;;) {
    try {
      await writeFile(path, String(process.pid), { flag: 'wx' })
      break
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    }
    const owner = Number(await readFile(path, 'utf8').catch(() => ''))
    if (owner > 0 && !isAlive(owner)) await rm(path, { force: true })
    else await setTimeout(100)
  }
  try {
    return await work()
  } finally {
    await rm(path, { force: true })
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
