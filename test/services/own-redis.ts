import { mkdir, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { Service } from './keeper.ts'
import { startRedis } from './redis.ts'
import type { RedisServer } from './redis-server.ts'
import { redisBinary } from './redis-server.ts'

/** A server that a test may pause and kill. It ends with the test's process at the latest. */
export interface OwnRedis extends Service {
  readonly port: number
  readonly pid: number
}

/** Starts an empty server for one test, on the given port if there is one. */
export async function ownRedis(
  server: RedisServer,
  options: { readonly port?: number; readonly args?: readonly string[] } = {},
): Promise<OwnRedis> {
  const service = await startRedis(await redisBinary(server), options)
  const port = Number(new URL(service.url).port)
  const pid = await asking(port, async (redis) => Number(/^process_id:(\d+)/m.exec(await redis.info('server'))?.[1]))
  return { ...service, port, pid }
}

/** Sends a command to a server of this machine over a separate connection. */
export async function asking<T>(port: number, ask: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis({ port, host: '127.0.0.1', lazyConnect: true, retryStrategy: () => null, protocol: 2 })
  redis.on('error', () => undefined)
  try {
    await redis.connect()
    return await ask(redis)
  } finally {
    redis.disconnect()
  }
}

/**
 * Has a server refuse writes because it cannot save to its disk.
 *
 * @returns lets it save again
 */
export async function keepFromSaving({ port }: OwnRedis): Promise<() => Promise<void>> {
  const folder = await asking(port, (redis) => redis.config('GET', 'dir'))
  const inTheWay = join(folder[1] ?? '', 'dump.rdb')
  await mkdir(inTheWay)
  const save = async (points: string, until: RegExp): Promise<void> =>
    await asking(port, async (redis) => {
      await redis.config('SET', 'save', points)
      await redis.bgsave()
      const deadline = Date.now() + 60_000
      while (!until.test(await redis.info('persistence'))) {
        if (Date.now() > deadline) throw new Error('Redis did not save within 60 s.')
        await setTimeout(10)
      }
    })
  await save('3600 1', /^rdb_last_bgsave_status:err/m)
  return async () => {
    await rmdir(inTheWay)
    await save('', /^rdb_last_bgsave_status:ok/m)
  }
}

/**
 * Resolves once a replica has all that its primary has by now. `WAIT` is of no use for that: it only waits for what its
 * own connection has written.
 */
export async function replicated(primary: OwnRedis, replica: OwnRedis): Promise<void> {
  const offset = async ({ port }: OwnRedis, field: string): Promise<number> =>
    await asking(port, async (redis) => Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(await redis.info('replication'))?.[1] ?? -1))
  const wanted = await offset(primary, 'master_repl_offset')
  const deadline = Date.now() + 100_000
  while ((await offset(replica, 'slave_repl_offset')) < wanted) {
    if (Date.now() > deadline) throw new Error('The replica did not catch up within 100 s.')
    await setTimeout(25)
  }
}
