import { constants, enableCompileCache } from 'node:module'
import { cacheFolder } from './cache-folder.ts'

/**
 * Has Node keep what it makes of the sources, for the next start of this process and of those that it starts, which
 * then takes half the time. It lies in the user's own cache folder, as code that others could write would be run;
 * `NODE_COMPILE_CACHE` names another, and `NODE_DISABLE_COMPILE_CACHE=1` wants none. Where the folder cannot be
 * written, nothing is kept.
 *
 * It holds for what is imported afterwards.
 */
export function keepCompiled(): void {
  if (process.env['NODE_COMPILE_CACHE'] !== undefined) return
  const folder = cacheFolder('compiled')
  if (folder !== null && enableCompileCache(folder).status === constants.compileCacheStatus.ENABLED)
    process.env['NODE_COMPILE_CACHE'] = folder
}
