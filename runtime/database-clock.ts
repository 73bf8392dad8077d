import type { Database } from './database.ts'

/**
 * Now, epoch milliseconds, for code that deletes what processes share: by the database's clock where the process' own
 * is ahead of it, so that one wrong clock deletes nothing that the others still need.
 */
export async function sharedNowMs(db: Pick<Database, 'query'>, ownNowMs: number): Promise<number> {
  const [row] = await db.query<{ now: number }>('SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS now')
  return Math.min(ownNowMs, row?.now ?? ownNowMs)
}
