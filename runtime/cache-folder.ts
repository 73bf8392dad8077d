import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'

/**
 * A folder of this name in the user's own cache folder (`XDG_CACHE_HOME`, else ~/.cache). Others cannot write there, so
 * a process can trust what it finds.
 *
 * @returns null for a user that the system does not know, who has no home
 */
export function cacheFolder(name: string): string | null {
  const { XDG_CACHE_HOME: cache = '' } = process.env
  if (isAbsolute(cache)) return join(cache, 'lockstep', name)
  try {
    return join(homedir(), '.cache', 'lockstep', name)
  } catch {
    return null
  }
}
