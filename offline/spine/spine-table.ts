import { createHash, randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import type { Database } from '../../runtime/database.ts'
import { sqlIdentifier } from '../../runtime/sql.ts'

/** Spines of processes on other machines are taken for forgotten after this long. */
const forgottenAfterMs = 2 * 24 * 3_600_000

/** A name for a spine's table that says which process made it and when, so that a later one can tell whether anybody still uses it. */
export function spineTableName(): string {
  return ['spine', machine(), process.pid, processStart().toString(36), Date.now().toString(36), randomBytes(4).toString('hex')].join('_')
}

export function spineTable(name: string): string {
  return `"lockstep".${sqlIdentifier(name)}`
}

/** Drops the spines that killed processes left behind. */
export async function dropLeftovers(db: Database): Promise<number> {
  const tables = await db.query<{ name: string }>(
    `SELECT c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'lockstep' AND c.relkind = 'r' AND c.relname LIKE 'spine\\_%'`,
  )
  const leftovers = tables.filter(({ name }) => isLeftover(name))
  for (const { name } of leftovers) await db.query(`DROP TABLE IF EXISTS ${spineTable(name)}`)
  return leftovers.length
}

export function isLeftover(name: string): boolean {
  const match = /^spine_([0-9a-f]{8})_(\d+)_([0-9a-z]+)_([0-9a-z]+)_[0-9a-f]{8}$/.exec(name)
  if (match === null) return false
  const [, host, pid, started, created] = match as unknown as [string, string, string, string, string]
  if (host !== machine()) return Date.now() - Number.parseInt(created, 36) > forgottenAfterMs
  if (Number(pid) === process.pid) return Number.parseInt(started, 36) !== processStart()
  return !isAlive(Number(pid))
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

function machine(): string {
  return createHash('sha256').update(hostname()).digest('hex').slice(0, 8)
}

function processStart(): number {
  return Math.floor(performance.timeOrigin)
}
