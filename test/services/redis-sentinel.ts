import { writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { freePort, onFreePort, serverFolder, startServer } from './keeper.ts'
import type { Service } from './keeper.ts'
import { asking, ownRedis } from './own-redis.ts'
import type { OwnRedis } from './own-redis.ts'
import type { RedisServer } from './redis-server.ts'
import { redisBinary } from './redis-server.ts'
import { startAll } from './ways.ts'

const name = 'mymaster'
/** How long a primary may be silent before the Sentinels replace it: a busy machine holds one up for a second. */
const downAfterMs = 2_500

export interface OwnSentinel extends Service {
  readonly port: number
}

export interface TestSentinels {
  /** `redis+sentinel://…` */
  readonly url: string
  readonly sentinels: readonly OwnSentinel[]
  /** Those that the test started, and those that it started again: it may add to them. */
  readonly servers: OwnRedis[]
  /** The primary that the Sentinels name. */
  primary(): Promise<OwnRedis>
  /** Resolves once all Sentinels name one primary, and know of the others and of a replica that follows it. */
  whole(): Promise<void>
  stop(): Promise<void>
}

/** A primary, a replica and three Sentinels on this machine. */
export async function testSentinels(server: RedisServer): Promise<TestSentinels> {
  const args = ['--repl-diskless-sync-delay', '0']
  const [first, second] = (await startAll(2, () => onFreePort(() => ownRedis(server, { args })))) as [OwnRedis, OwnRedis]
  const servers = [first, second]
  await asking(second.port, (redis) => redis.replicaof('127.0.0.1', first.port))
  const sentinels = (await startAll(3, () => onFreePort(() => ownSentinel(server, first.port)))) as OwnSentinel[]
  const lastOf = (port: number): OwnRedis => {
    const found = servers.findLast((each) => each.port === port)
    if (found === undefined) throw new Error(`The Sentinels name a primary at port ${port} that is not of the test.`)
    return found
  }
  const named = () => Promise.all(sentinels.map(({ port }) => primaryBy(port)))
  const all: TestSentinels = {
    url: `redis+sentinel://${sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')}/${name}`,
    sentinels,
    servers,
    primary: async () => lastOf((await named())[0] ?? 0),
    async whole() {
      await until(async () => {
        const [port = 0, ...others] = await named()
        if (others.some((each) => each !== port) || !(await isFollowed(port))) return false
        return (await Promise.all(sentinels.map((sentinel) => isComplete(sentinel.port)))).every(Boolean)
      })
    },
    async stop() {
      await Promise.all([...sentinels, ...servers].map((each) => each.stop()))
    },
  }
  try {
    await all.whole()
    return all
  } catch (error) {
    await all.stop()
    throw error
  }
}

/**
 * A Sentinel that watches the primary at a port.
 *
 * @param settings more lines of its configuration
 */
export async function ownSentinel(
  server: RedisServer,
  primaryPort: number,
  { host = '127.0.0.1', settings = [] }: { readonly host?: string; readonly settings?: readonly string[] } = {},
): Promise<OwnSentinel> {
  const command = await redisBinary(server)
  const folder = await serverFolder('sentinel', undefined)
  const port = await freePort()
  const file = join(folder, 'sentinel.conf')
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${folder}`,
    ...settings,
    `sentinel monitor ${name} ${host} ${primaryPort} 2`,
    `sentinel down-after-milliseconds ${name} ${downAfterMs}`,
    `sentinel failover-timeout ${name} 6000`,
  ]
  await writeFile(file, `${lines.join('\n')}\n`)
  const service = await startServer({
    name: `${command} --sentinel`,
    command,
    args: [file, '--sentinel'],
    folder,
    signal: 'TERM',
    user: undefined,
    url: `redis://127.0.0.1:${port}`,
    async answers() {
      const info = await asking(port, (redis) => redis.info('server'))
      if (!info.includes(basename(folder))) throw new Error(`another Sentinel has taken the port: it answered ${info}`)
    },
  })
  return { ...service, port }
}

async function primaryBy(sentinel: number): Promise<number> {
  const address = await asking(sentinel, (redis) => redis.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name))
  return Number(Array.isArray(address) ? address[1] : 0)
}

async function isComplete(sentinel: number): Promise<boolean> {
  const fields = (await asking(sentinel, (redis) => redis.call('SENTINEL', 'MASTER', name))) as string[]
  const of = (field: string): string | undefined => fields[fields.indexOf(field) + 1]
  return of('num-other-sentinels') === '2' && of('num-slaves') !== '0' && of('flags') === 'master'
}

async function isFollowed(port: number): Promise<boolean> {
  const info = await asking(port, (redis) => redis.info('replication')).catch(() => '')
  return info.includes('role:master') && info.includes('state=online')
}

async function until(what: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 100_000
  while (!(await what())) {
    if (Date.now() > deadline) throw new Error('The Sentinels were not whole within 100 s.')
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}
