import { execFile } from 'node:child_process'
import { access, constants, readdir, rm, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

export const run = promisify(execFile)

/** The folders where servers are found: PATH, /usr/local/bin, and Debian's folders of PostgreSQL, newest first. */
export async function binaryFolders(): Promise<string[]> {
  const debian = '/usr/lib/postgresql'
  const versions = await readdir(debian).catch(() => [])
  const newestFirst = versions.toSorted((a, b) => Number(b) - Number(a)).map((version) => join(debian, version, 'bin'))
  return [...new Set([...newestFirst, ...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/bin', '/usr/sbin'])].filter(
    (path) => path !== '',
  )
}

export async function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  )
}

/** Installs a Debian package, as root, without letting it start a service of the system. */
export async function aptInstall(name: string): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('this user is not root')
  if (!(await isExecutable('/usr/bin/apt-get'))) throw new Error('there is no apt-get here')
  const policy = '/usr/sbin/policy-rc.d'
  const own = await writeFile(policy, '#!/bin/sh\nexit 101\n', { flag: 'wx', mode: 0o755 }).then(
    () => true,
    () => false,
  )
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    await run('apt-get', ['update', '-q'], { env, timeout: 120_000 })
    await run('apt-get', ['install', '-y', '-q', '--no-install-recommends', name], { env, timeout: 300_000, maxBuffer: 1e8 })
  } finally {
    if (own) await rm(policy, { force: true })
  }
}
