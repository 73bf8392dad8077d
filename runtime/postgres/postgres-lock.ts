import type { PoolClient } from 'pg'
import type { PostgresPool } from './postgres-pool.ts'

/**
 * Takes an advisory lock on its own connection.
 *
 * @returns what releases it; null if `pg_try_advisory_lock` did not get it
 */
export async function takePostgresLock(
  pool: PostgresPool,
  how: 'pg_advisory_lock' | 'pg_try_advisory_lock',
  group: number,
  id: number,
): Promise<(() => Promise<void>) | null> {
  const client = await pool.connect()
  try {
    const { rows } = await client.query<{ taken: unknown }>(`SELECT ${how}($1, $2) AS taken`, [group, id])
    if (rows[0]?.taken === false) {
      client.release()
      return null
    }
  } catch (error) {
    client.release(true)
    throw pool.explain(error)
  }
  return () => unlock(client, group, id)
}

async function unlock(client: PoolClient, group: number, id: number): Promise<void> {
  const unlocked = await client.query('SELECT pg_advisory_unlock($1, $2)', [group, id]).catch(() => null)
  client.release(unlocked === null)
}
