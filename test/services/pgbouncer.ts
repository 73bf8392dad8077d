import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { aptInstall, binaryFolders, isExecutable } from './binaries.ts'
import type { Service } from './keeper.ts'
import { freePort, onFreePort, serverFolder, startServer, unprivilegedUser } from './keeper.ts'

/**
 * Starts PgBouncer before the server of a database: from PATH, or installed with apt-get as root on Debian.
 *
 * @param url of the database
 * @param settings lines of its section [pgbouncer]
 * @returns a service whose URL leads to the same database
 */
export async function ownPgBouncer(url: string, settings: readonly string[]): Promise<Service> {
  const command = await pgbouncerBinary()
  const user = await unprivilegedUser()
  return await onFreePort(async () => {
    const [target, port, folder] = [new URL(url), await freePort(), await serverFolder('pgbouncer', user)]
    const file = join(folder, 'pgbouncer.ini')
    const password = target.password === '' ? '' : ` password='${decodeURIComponent(target.password)}'`
    const server = `host=${target.hostname} port=${target.port} user=${decodeURIComponent(target.username)}${password}`
    const own = ['listen_addr = 127.0.0.1', `listen_port = ${port}`, 'unix_socket_dir =', 'auth_type = any']
    await writeFile(file, ['[databases]', `* = ${server}`, '[pgbouncer]', ...own, ...settings].join('\n'))
    const pooled = new URL(url)
    pooled.hostname = '127.0.0.1'
    pooled.port = String(port)
    return await startServer({
      name: 'pgbouncer',
      command,
      args: [file],
      folder,
      signal: 'TERM',
      user,
      url: pooled.href,
      async answers() {
        const client = new pg.Client(pooled.href)
        await client.connect()
        await client.end()
      },
    })
  })
}

async function pgbouncerBinary(): Promise<string> {
  for (const install of [async () => undefined, () => aptInstall('pgbouncer')]) {
    await install()
    for (const folder of await binaryFolders()) if (await isExecutable(join(folder, 'pgbouncer'))) return join(folder, 'pgbouncer')
  }
  throw new Error('The tests need "pgbouncer" in PATH; or run as root on Debian or Ubuntu, where it is installed for you.')
}
