import type { Database } from './database.ts'

/**
 * Now, epoch milliseconds, for what processes share: by the database's clock where the process' own is ahead of it. So
 * one wrong clock deletes nothing that the others still need, and runs nothing of a schedule before its time.
 */
export async function sharedNowMs(db: Pick<Database, 'query'>, ownNowMs: number): Promise<number> {
  return (await sharedNowMicros(db, ownNowMs * 1000)) / 1000
}

/** As `sharedNowMs`, in epoch microseconds. */
export async function sharedNowMicros(db: Pick<Database, 'query'>, ownNowMicros: number): Promise<number> {
  return Math.min(ownNowMicros, await databaseNowMicros(db))
}

/** Now by the database's clock, epoch microseconds. */
export async function databaseNowMicros(db: Pick<Database, 'query'>): Promise<number> {
  const [row] = await db.query<{ now: number }>('SELECT floor(extract(epoch FROM clock_timestamp()) * 1000000)::float8 AS now')
  if (row === undefined) throw new Error('The database returned no time.')
  return row.now
}

/** A clock that goes on from `sharedNowMicros`, epoch microseconds. */
export async function sharedClock(db: Pick<Database, 'query'>, own: () => number): Promise<() => number> {
  const ownNow = own()
  const aheadMicros = ownNow - (await sharedNowMicros(db, ownNow))
  return () => own() - aheadMicros
}
