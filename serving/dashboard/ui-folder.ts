import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { cacheFolder } from '../../runtime/cache-folder.ts'

const root = dirname(dirname(import.meta.dirname))

/**
 * Finds the files of the dashboard: those of the package or, in a clone, a build in the user's cache folder. A process
 * of its own makes that build, about 1 s, if the sources have changed.
 *
 * @returns a function that resolves to the folder with `index.html` and `assets/`, or to null where there is none
 */
export function createUiFolder(): () => Promise<string | null> {
  let found: Promise<string | null> | undefined
  return async () => {
    found ??= findUiFolder()
    try {
      return await found
    } catch (error) {
      // the next request builds again
      found = undefined
      throw error
    }
  }
}

async function findUiFolder(): Promise<string | null> {
  const packaged = join(root, 'ui')
  if (existsSync(join(packaged, 'index.html'))) return packaged
  const builder = join(root, 'build', 'build-ui.ts')
  const cache = cacheFolder('ui')
  if (cache === null || !existsSync(builder)) return null
  const { stdout } = await promisify(execFile)(process.execPath, [builder, '--cache', cache])
  return stdout.trim()
}
