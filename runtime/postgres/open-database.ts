import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { LockstepError } from '../../kernel/errors.ts'
import type { Config } from '../config.ts'
import type { Database } from './database.ts'
import { ownEmbeddedFolder } from '../embedded/embedded-owner.ts'
import type { PostgresOptions } from './open-postgres.ts'
import { openPostgres } from './open-postgres.ts'
import { parseTarget } from './postgres-target.ts'
import { createSigning } from '../signing.ts'
import { closeFolder } from '../private-folder.ts'

/**
 * Opens the database that is configured: PostgreSQL where `postgresUrl` is set, else the embedded one, in the folder
 * `postgres` of `config.directory`, which this process owns until the database is closed.
 *
 * @param options.signal its abort ends what PostgreSQL is doing; the embedded one cannot be interrupted, and heeds the
 *   signals of its calls only
 * @param options.warn called with what was wrong with the folder, and put right where that could be done
 * @throws LockstepError `EMBEDDED_IN_USE` where another process owns the folder
 */
export async function openDatabase(
  config: Config,
  options: PostgresOptions & { readonly warn?: (message: string) => void } = {},
): Promise<Database> {
  const signing = config.signingKeys === null ? {} : { signing: createSigning(config.signingKeys) }
  if (config.postgresUrl !== null) return { ...openPostgres(config.postgresUrl, options), ...signing }
  const owner = await ownEmbeddedFolder(config.directory)
  try {
    closeToOthers(config.directory, options.warn)
    const { openPglite } = await import('../embedded/open-pglite.ts')
    const database = await openPglite(join(config.directory, 'postgres'))
    return {
      ...database,
      ...signing,
      async close() {
        try {
          await database.close()
        } finally {
          await owner.release()
        }
      },
    }
  } catch (error) {
    await owner.release()
    throw error
  }
}

/**
 * PostgreSQL refuses a folder that other users of the machine may read; this one may have been made when Lockstep left
 * it open to them.
 */
function closeToOthers(directory: string, warn: (message: string) => void = () => undefined): void {
  const parts: readonly (readonly [folder: string, telling: readonly string[]])[] = [
    ['postgres', ['PG_VERSION']],
    ['online', ['states.sqlite', 'states.sqlite-wal', 'states.sqlite-shm']],
  ]
  const closed = parts.map(([folder, telling]) => closeFolder(join(directory, folder), telling))
  // a folder that holds other things, too, may be meant for others
  if (readdirSync(directory).every((name) => /^(postgres|online|codes|owner-.*\.sock(\.new)?)$/.test(name)))
    closed.push(closeFolder(directory, []))
  if (closed.includes(null)) warn(`Other users of this machine can read the folder "${directory}", and its permissions cannot be changed.`)
  else if (closed.includes(true)) warn(`Other users of this machine could read the folder "${directory}". Its permissions are now 0700.`)
}

/** Which database is meant, and why, as a sentence begins with it; without user and password. */
export function databaseName({ postgresUrl, directory }: Pick<Config, 'postgresUrl' | 'directory'>): string {
  if (postgresUrl !== null) {
    const { server, database } = parseTarget(postgresUrl)
    return `The database${database === '' ? '' : ` "${database}"`} at "${server}"`
  }
  return `The embedded database in "${directory}" (LOCKSTEP_POSTGRES_URL is not set)`
}

/**
 * So that who forgot the settings in a new shell does not get a second, empty registry by the way.
 *
 * @throws LockstepError `MIGRATIONS_PENDING` where the embedded database is meant and was never made
 */
export function requireMade(config: Pick<Config, 'postgresUrl' | 'directory' | 'server'>): void {
  if (config.postgresUrl !== null || existsSync(join(config.directory, 'postgres'))) return
  const hints = [
    ...(config.server === null ? [] : [' This command does not use LOCKSTEP_SERVER.']),
    ...(existsSync(join(config.directory, 'dev')) ? [' To ask "lockstep dev", give its URL to a command that takes --server.'] : []),
  ]
  throw new LockstepError(
    'MIGRATIONS_PENDING',
    `There is no embedded database in "${config.directory}", and LOCKSTEP_POSTGRES_URL is not set. Set LOCKSTEP_POSTGRES_URL or LOCKSTEP_DIR, or run "lockstep migrate" to create an embedded database there.${hints.join('')}`,
    { details: { directory: config.directory } },
  )
}
