import { chmodSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

const others = 0o077

/** Makes a folder that only its owner may enter, where it is missing. */
export function makePrivate(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
}

/**
 * Takes a folder and all files in it from other users of the machine, 0700 and 0600, where the folder or one of its
 * files named here may be read by them.
 *
 * @returns whether there was something to take; null where the file system does not allow it
 */
export function closeFolder(folder: string, telling: readonly string[]): boolean | null {
  if (process.platform === 'win32') return false
  const open = ['.', ...telling].some((name) => {
    const stat = statSync(join(folder, name), { throwIfNoEntry: false })
    return stat !== undefined && (stat.mode & others) !== 0
  })
  if (!open) return false
  try {
    chmodSync(folder, 0o700)
    for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
      if (entry.isDirectory()) chmodSync(join(entry.parentPath, entry.name), 0o700)
      else if (entry.isFile()) chmodSync(join(entry.parentPath, entry.name), 0o600)
    }
    return true
  } catch {
    return null
  }
}
