import { constants, enableCompileCache } from 'node:module'
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'

/**
 * Has Node keep what it makes of the sources, for the next start of this process and of those that it starts, which
 * then takes half the time. It lies in the user's own cache folder (`XDG_CACHE_HOME`, else ~/.cache), as code that
 * others could write would be run; `NODE_COMPILE_CACHE` names another, and `NODE_DISABLE_COMPILE_CACHE=1` wants none.
 * Where the folder cannot be written, nothing is kept.
 *
 * It holds for what is imported afterwards.
 */
export function keepCompiled(): void {
  if (process.env['NODE_COMPILE_CACHE'] !== undefined) return
  const folder = cacheFolder()
  if (folder !== null && enableCompileCache(folder).status === constants.compileCacheStatus.ENABLED)
    process.env['NODE_COMPILE_CACHE'] = folder
}

function cacheFolder(): string | null {
  const { XDG_CACHE_HOME: cache = '' } = process.env
  if (isAbsolute(cache)) return join(cache, 'lockstep', 'compiled')
  try {
    return join(homedir(), '.cache', 'lockstep', 'compiled')
  } catch {
    return null // a user that the system does not know has no home
  }
}
