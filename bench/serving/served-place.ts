import { join } from 'node:path'
import type { Config } from '../../runtime/config.ts'
import { loadConfig } from '../../runtime/config.ts'
import { openPostgres } from '../../runtime/postgres/open-postgres.ts'
import { forgetKeys } from '../forget-keys.ts'
import { inOwnPlace } from '../in-process.ts'
import type { Started } from './server.ts'
import { end, start, untilReady } from './server.ts'
import { setUp } from './set-up.ts'

export interface ServedPlace {
  readonly served: Started
  /** An API key of the server. */
  readonly key: string
  readonly config: Config
  /** The folder for scripts. */
  readonly folder: string
}

/**
 * Runs a bench beside a server of a number of customers: one process of `lockstep serve` with one prediction in a
 * hundred logged. It works in its own database and under its own key prefix, and removes both. Without PostgreSQL and
 * Redis it reports so, and the bench fails.
 *
 * @param options Node's options for the server
 */
export async function inServedPlace(
  customers: number,
  options: readonly string[],
  work: (place: ServedPlace) => Promise<void>,
): Promise<void> {
  const { postgresUrl, redisUrl } = loadConfig()
  if (postgresUrl === null || redisUrl === null) {
    process.stderr.write('Set LOCKSTEP_POSTGRES_URL and LOCKSTEP_REDIS_URL to servers that the bench may use.\n')
    process.exitCode = 2
    return
  }
  await inOwnPlace(postgresUrl, async ({ env, folder }) => {
    const config = loadConfig(env)
    const db = openPostgres(config.postgresUrl as string)
    try {
      const key = await setUp(db, config, customers)
      const main = join(import.meta.dirname, '../../cli/main.ts')
      const logged = { ...env, LOCKSTEP_LOG_PREDICTIONS: '0.01', LOCKSTEP_LOG_LEVEL: 'warn' }
      const served = await start([...options, main, 'serve', '--port', '0', '--json'], logged)
      try {
        await untilReady(served.url)
        await work({ served, key, config, folder })
      } finally {
        await end(served)
      }
    } finally {
      await db.close()
      await forgetKeys(redisUrl, config.redisPrefix)
    }
  })
}
