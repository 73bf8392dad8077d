import { access, constants, readdir, realpath, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { trainerName } from '../registry/define/training.ts'

/**
 * The programs that this process may run: the executable files directly in the folder. A link counts if it leads to a
 * file within the folder. Without the folder there are none.
 */
export async function installedTrainers(folder: string | null): Promise<readonly string[]> {
  if (folder === null) return []
  const names = await readdir(folder).catch(() => [])
  const found = await Promise.all(names.map(async (name) => ((await trainerPath(folder, name)) === null ? [] : [name])))
  return found.flat().toSorted()
}

/** The real path of a trainer; null: it may not be run. */
export async function trainerPath(folder: string, name: string): Promise<string | null> {
  if (!trainerName.test(name)) return null
  try {
    const [within, path] = [await realpath(folder), await realpath(join(folder, name))]
    if (!path.startsWith(`${within}${sep}`) || !(await stat(path)).isFile()) return null
    await access(path, constants.X_OK)
    return path
  } catch {
    return null
  }
}
