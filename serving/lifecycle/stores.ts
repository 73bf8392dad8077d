import { LockstepError } from '../../kernel/errors.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Logger } from '../../runtime/log.ts'
import { parseRedisUrl, redisServers } from '../../runtime/redis/redis-url.ts'
import type { Dependency } from './dependency.ts'
import { createDependency } from './dependency.ts'
import type { OnlineServers } from './online-servers.ts'
import { createOnlineServers } from './online-servers.ts'

/** The database and the online store of a server. Neither has to answer when the server starts, nor all the time. */
export interface Stores {
  readonly database: Dependency<Database>
  readonly online: Dependency<OnlineStore>
  readonly onlineServers: OnlineServers
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
  const servers = createOnlineServers(log)
  const online = createDependency({ name: storeName(redisUrl), open: options.store, ping: servers.ping, log })

  return {
    database,
    online,
    onlineServers: servers,
    needDatabase() {
      if (database.available !== null) return database.available
      throw new LockstepError('POSTGRES_UNAVAILABLE', database.failure ?? 'The database is not open.', { cause: database.error })
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

/** Named with host and port, without user or password. */
function storeName(redisUrl: string | null): string {
  const address = parseRedisUrl(redisUrl ?? '')
  return address === null ? 'The online store' : `The online store (Redis at "${redisServers(address)}")`
}
