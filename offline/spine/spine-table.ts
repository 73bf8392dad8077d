import { randomInt } from 'node:crypto'
import type { Database } from '../../runtime/postgres/database.ts'
import { sqlIdentifier } from '../../runtime/postgres/sql.ts'

/** The group of the advisory locks of spines: `lsSP` in ASCII. */
export const spineLocks = 0x6c73_5350

/** A reserved table name of a spine, for as long as its owner holds it. */
export interface SpinePlace {
  /** The number in its name and of its lock. */
  readonly id: number
  /** The table, quoted; not yet created. */
  readonly table: string
  /** Drops the table, if it was created, and releases the name. */
  drop(): Promise<void>
}

/**
 * Reserves a name for a spine's table. An advisory lock on the number in it shows other processes on any machine that
 * the name is in use.
 */
export async function takeSpinePlace(db: Database): Promise<SpinePlace> {
  const id = randomInt(2 ** 31)
  const table = `"lockstep".${sqlIdentifier(spineName(id))}`
  const release = await db.lock(spineLocks, id)
  return {
    id,
    table,
    async drop() {
      try {
        await db.query(`DROP TABLE IF EXISTS ${table}`)
      } finally {
        await release()
      }
    },
  }
}

export function spineName(id: number): string {
  return `spine_${id}`
}

/**
 * Drops the spines of owners that have ended. An owner holds the lock from before the table is created until after it
 * is dropped, so an unlocked table has no owner.
 */
export async function dropLeftovers(db: Database): Promise<void> {
  const leftovers = await db.query<{ name: string }>(
    `SELECT c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'lockstep' AND c.relkind = 'r' AND c.relname ~ '^spine_[0-9]{1,10}$' AND NOT EXISTS (
      SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
      WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted
        AND l.classid = ${spineLocks}::oid AND l.objid::text = substr(c.relname, 7)
    )`,
  )
  for (const { name } of leftovers) await db.query(`DROP TABLE IF EXISTS "lockstep".${sqlIdentifier(name)}`)
}
