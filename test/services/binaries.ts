import { execFile } from 'node:child_process'
import { access, constants, readdir } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { withoutServiceStarts } from './service-policy.ts'

export const run = promisify(execFile)

/**
 * The folders that are searched for servers: PATH, /usr/local/bin, and Debian's folders of PostgreSQL, newest first.
 */
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

/** apt-get does not run twice at once, so installations wait for one another. */
let installed: Promise<unknown> = Promise.resolve()

/** Installs a Debian package, as root, without starting a system service. */
export async function aptInstall(name: string): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('this user is not root')
  if (!(await isExecutable('/usr/bin/apt-get'))) throw new Error('there is no apt-get here')
  const install = (): Promise<void> =>
    withoutServiceStarts(async () => {
      await aptGet(120_000, 'update', '-q')
      await aptGet(300_000, 'install', '-y', '-q', '--no-install-recommends', name)
    })
  const own = installed.then(install)
  installed = own.catch(() => undefined)
  await own
}

/** Waits for up to a minute while another process, such as unattended-upgrades, holds the lock of dpkg. */
async function aptGet(timeout: number, ...args: readonly string[]): Promise<void> {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  await run('apt-get', ['-o', 'DPkg::Lock::Timeout=60', ...args], { env, timeout, maxBuffer: 1e8 })
}
