import { join } from 'node:path'
import { aptInstall, binaryFolders, isExecutable, run } from './binaries.ts'

/** The two servers on which the online store is tested. */
export type RedisServer = 'redis-server' | 'valkey-server'

/**
 * The binary of a server, for tests that start, pause and kill their own. It is found on the machine, or installed with
 * apt-get as root on Debian.
 *
 * @throws with both ways and why neither works
 */
export async function redisBinary(server: RedisServer): Promise<string> {
  const refusals: string[] = []
  for (const find of [findBinary, installBinary]) {
    try {
      return await find(server)
    } catch (error) {
      refusals.push(error instanceof Error ? error.message : String(error))
    }
  }
  throw new Error(
    `The tests need "${server}" in PATH, of Redis 7.2 or newer, or Valkey; or run as root on Debian or Ubuntu, where it is installed for you (${refusals.join('; ')}).`,
  )
}

/** @throws where it is not installed */
export async function findBinary(server: RedisServer): Promise<string> {
  const refusals: string[] = []
  for (const folder of await binaryFolders()) {
    const command = join(folder, server)
    if (!(await isExecutable(command))) continue
    try {
      requireRedis(/\bv=([\d.]+)/.exec((await run(command, ['--version'])).stdout)?.[1] ?? 'of an unknown version')
      return command
    } catch (error) {
      refusals.push(`"${command}": ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  throw new Error(refusals.length === 0 ? 'it was not found' : refusals.join('; '))
}

async function installBinary(server: RedisServer): Promise<string> {
  await aptInstall(server)
  return findBinary(server)
}

/** @throws where the version (of Redis, or of a Valkey, which began as Redis 7.2) is older than 7.2 */
export function requireRedis(version: string): void {
  const [major = Number.NaN, minor = Number.NaN] = version.split('.').map(Number)
  if (!(major > 7 || (major === 7 && minor >= 2))) throw new Error(`this Redis is ${version}, 7.2 or newer is needed`)
}
