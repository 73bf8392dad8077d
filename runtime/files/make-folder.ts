import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Creates a folder and those above it. `mkdir` of Node with `recursive` never returns where the file system refuses
 * files with ENOENT, as `/proc` does.
 *
 * @returns the first folder that was created; undefined: all were there
 * @throws what the file system says
 */
export async function makeFolder(path: string): Promise<string | undefined> {
  const found = await stat(path).catch(() => null)
  if (found?.isDirectory() === true) return undefined
  const above = dirname(path)
  const first = above === path ? undefined : await makeFolder(above)
  try {
    await mkdir(path)
    return first ?? path
  } catch (error) {
    // another process may have made it meanwhile
    if ((await stat(path).catch(() => null))?.isDirectory() === true) return first
    throw error
  }
}
