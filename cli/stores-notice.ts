import { parseTarget } from '../runtime/postgres/postgres-target.ts'
import type { Settings } from '../runtime/config.ts'
import { parseRedisUrl, redisServers } from '../runtime/redis/redis-url.ts'
import { settingsAbove } from '../runtime/settings/settings-files.ts'

/** Lines to print before the database or the online store is opened; null: none. */
export interface StoresNotice {
  readonly database: string | null
  readonly store: string | null
}

/**
 * Names the database and the online store where a user may expect others: where it is on another machine, where it is
 * embedded and the other one is not, and where the embedded database is used although something nearby names a
 * PostgreSQL. Without user and password.
 *
 * @param folder the working folder
 */
export function storesNotice({ config, origins, elsewhere }: Settings, folder: string): StoresNotice {
  const { postgresUrl, redisUrl, directory } = config
  const from = (name: string): string => ` (${name}${origins.get(name) === 'environment' ? '' : ` in ${origins.get(name)}`})`
  const target = postgresUrl === null ? null : parseTarget(postgresUrl)
  const redis = redisUrl === null ? null : parseRedisUrl(redisUrl)
  const unread = unreadSetting(elsewhere, origins.size === 0 ? settingsAbove(folder) : null)
  const embedded = `embedded in "${directory}"`
  return {
    database:
      target !== null
        ? target.names.every(isThisMachine)
          ? null
          : `Database: "${target.database}" at ${target.server}${from('LOCKSTEP_POSTGRES_URL')}.`
        : redis !== null || unread !== null
          ? `Database: ${embedded}${unread === null ? '; LOCKSTEP_POSTGRES_URL is not set' : `; ${unread}`}.`
          : null,
    store:
      redis !== null
        ? redis.nodes.every(({ host, port }) => isThisMachine(`${host}:${port}`))
          ? null
          : `Online store: Redis at ${redisServers(redis)}${from('LOCKSTEP_REDIS_URL')}.`
        : target !== null
          ? `Online store: ${embedded}; LOCKSTEP_REDIS_URL is not set.`
          : null,
  }
}

/** A setting of a PostgreSQL that a user may believe to be read. */
function unreadSetting([elsewhere]: readonly string[], above: string | null): string | null {
  if (above !== null) return `"${above}" is not read, because it is not in this folder`
  return elsewhere === undefined ? null : `${elsewhere} is not read, LOCKSTEP_POSTGRES_URL is`
}

function isThisMachine(server: string): boolean {
  return /^(localhost|127(\.\d+){3}|\[?::1\]?|\/.*):\d+$/.test(server)
}
