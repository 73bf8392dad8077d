import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

/** The system allows 104 bytes on macOS and 108 on Linux, and cuts what is longer. */
const maxSocketPathBytes = 100

/**
 * Calls `fn` with a path to `directory/name` that is short enough for a socket: the path itself, or one through a link
 * in the temporary folder.
 */
export async function withShortPath<T>(directory: string, name: string, fn: (path: string) => Promise<T>): Promise<T> {
  const path = join(directory, name)
  if (Buffer.byteLength(path) <= maxSocketPathBytes) return await fn(path)
  const folder = await mkdtemp(join(tmpdir(), 'ls-'))
  try {
    await symlink(resolve(directory), join(folder, 'd'))
    return await fn(join(folder, 'd', name))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
