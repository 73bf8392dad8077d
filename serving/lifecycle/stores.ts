import { LockstepError } from '../../kernel/errors.ts'
import type { OnlineStore, ServerState } from '../../online/store.ts'
import type { Database } from '../../runtime/database.ts'
import type { Logger } from '../../runtime/log.ts'
import { parseRedisUrl, redisServers } from '../../runtime/redis-url.ts'
import type { Dependency } from './dependency.ts'
import { createDependency } from './dependency.ts'

/** The database and the online store of a server. Neither has to answer when the server starts, nor all the time. */
export interface Stores {
  readonly database: Dependency<Database>
  readonly online: Dependency<OnlineStore>
  /** Those of an online store on several servers, as of the last check that one of them answered. */
  readonly onlineServers: readonly ServerState[]
  /** @throws LockstepError `POSTGRES_UNAVAILABLE` while it does not answer */
  needDatabase(): Database
  /** @throws LockstepError `REDIS_UNAVAILABLE`, `NOT_READY` while it does not answer */
  needOnline(): OnlineStore
}

export interface StoresOptions {
  readonly database: () => Promise<Database>
  readonly store: () => Promise<OnlineStore>
  /** null: the online store is embedded. */
  readonly redisUrl: string | null
  readonly log: Logger
}

export function createStores(options: StoresOptions): Stores {
  const { redisUrl, log } = options
  const database = createDependency({ name: 'The database', open: options.database, ping: (db) => db.ping(), log })
  let onlineServers: readonly ServerState[] = []
  const online = createDependency({ name: storeName(redisUrl), open: options.store, ping: pingStore, log })

  async function pingStore(store: OnlineStore): Promise<void> {
    const before = silentServers(onlineServers)
    onlineServers = await store.ping()
    const silent = silentServers(onlineServers)
    for (const server of silent) if (!before.includes(server)) log.warn({ server }, 'a server of the Redis Cluster does not answer')
    for (const server of before)
      if (!silent.includes(server)) log.info({ server }, 'a server of the Redis Cluster answers again, or has left')
  }

  return {
    database,
    online,
    get onlineServers() {
      return onlineServers
    },
    needDatabase() {
      if (database.available !== null) return database.available
      throw new LockstepError('POSTGRES_UNAVAILABLE', database.failure ?? 'The database is not open.')
    },
    needOnline() {
      const { available, value, failure } = online
      if (available !== null) return available
      if (value?.kind === 'redis') throw new LockstepError('REDIS_UNAVAILABLE', failure ?? 'It is closed.')
      throw new LockstepError('NOT_READY', 'The online store cannot be read yet; GET /readyz says why. Try again soon.', {
        cause: new Error(failure ?? ''),
      })
    },
  }
}

export function silentServers(servers: readonly ServerState[]): string[] {
  return servers.flatMap(({ server, answers }) => (answers === false ? [server] : []))
}

/** Named with host and port, without user or password. */
function storeName(redisUrl: string | null): string {
  const address = parseRedisUrl(redisUrl ?? '')
  return address === null ? 'The online store' : `The online store (Redis at "${redisServers(address)}")`
}
