import { parseTarget } from '../runtime/open-postgres.ts'
import type { Settings } from '../runtime/config.ts'
import { parseRedisUrl, redisServers } from '../runtime/redis-url.ts'
import { settingsAbove } from '../runtime/settings-files.ts'

/**
 * Names the database and the online store where a user may expect others: where one of them is on another machine,
 * where only one of them is embedded, and where the embedded ones are used although something nearby names a
 * PostgreSQL. Without user and password.
 *
 * @param folder the working folder
 * @returns null where nothing can surprise
 */
export function storesNotice({ config, origins, elsewhere }: Settings, folder: string): string | null {
  const { postgresUrl, redisUrl, directory } = config
  const from = (name: string): string => ` (${name}${origins.get(name) === 'environment' ? '' : ` in ${origins.get(name)}`})`
  const target = postgresUrl === null ? null : parseTarget(postgresUrl)
  const redis = redisUrl === null ? null : parseRedisUrl(redisUrl)
  const hosts = [...(target === null ? [] : [target.server]), ...(redis?.nodes.map(({ host, port }) => `${host}:${port}`) ?? [])]
  const above = origins.size === 0 ? settingsAbove(folder) : null
  const why =
    target !== null
      ? ''
      : above !== null
        ? `; "${above}" is not read, because it is not in this folder`
        : elsewhere[0] === undefined
          ? ''
          : `; ${elsewhere[0]} is not read, LOCKSTEP_POSTGRES_URL is`
  if (hosts.every(isThisMachine) && (target === null) === (redis === null) && why === '') return null
  const database =
    target === null ? `embedded in "${directory}"${why}` : `"${target.database}" at ${target.server}${from('LOCKSTEP_POSTGRES_URL')}`
  const store = redis === null ? `embedded in "${directory}"` : `Redis at ${redisServers(redis)}${from('LOCKSTEP_REDIS_URL')}`
  return `Database: ${database}. Online store: ${store}.`
}

function isThisMachine(server: string): boolean {
  return /^(localhost|127(\.\d+){3}|\[?::1\]?|\/.*):\d+$/.test(server)
}
