import { dayMicros } from '../kernel/values/time.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { sqlState } from '../runtime/postgres/relation.ts'

/** How long to wait for an exclusive lock of the table: others wait behind it. */
const lockTimeout = '2s'

/** The UTC day of a moment (epoch microseconds), as days since 1970. */
export function dayOf(micros: number): number {
  return Math.floor(micros / dayMicros)
}

/** The partitions of a table of the schema `lockstep` that is partitioned by day. */
export interface DayPartitions {
  /** Creates the missing partitions of these days. Several processes may do it at once. */
  create(db: Pick<Database, 'script'>, days: Iterable<number>): Promise<void>
  /**
   * Drops the partitions of the days before `day`.
   *
   * @returns how many
   */
  drop(db: Pick<Database, 'script' | 'query'>, day: number): Promise<number>
}

function dayPartitions(table: string): DayPartitions {
  const partitionOf = (day: number) => `${table}_${dateOf(day).replaceAll('-', '')}`
  return {
    async create(db, days) {
      for (const day of days) {
        const [from, to] = [dateOf(day), dateOf(day + 1)]
        const create = `CREATE TABLE IF NOT EXISTS lockstep.${partitionOf(day)} PARTITION OF lockstep.${table} FOR VALUES FROM ('${from}Z') TO ('${to}Z')`
        await db.script(`SET lock_timeout = '${lockTimeout}'; ${create}`).catch((error: unknown) => {
          // another process has just created it
          if (!['23505', '42P07', '42710'].includes(sqlState(error))) throw error
        })
      }
    },
    async drop(db, day) {
      const partitions = await db.query<{ name: string }>(
        `SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
         WHERE i.inhparent = 'lockstep.${table}'::regclass AND c.relname ~ '^${table}_\\d{8}$'`,
      )
      const old = partitions.map(({ name }) => name).filter((name) => name < partitionOf(day))
      for (const name of old) await db.script(`SET lock_timeout = '${lockTimeout}'; DROP TABLE IF EXISTS lockstep.${name}`)
      return old.length
    },
  }
}

/** The days of `lockstep.prediction_log`. */
export const predictionPartitions = dayPartitions('prediction_log')

/** The days of `lockstep.rollups`. */
export const rollupPartitions = dayPartitions('rollups')

function dateOf(day: number): string {
  return new Date(day * 86_400_000).toISOString().slice(0, 10)
}
