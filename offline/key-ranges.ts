import type { ViewPlan } from '../kernel/view-plan.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { explain } from './explain.ts'
import { sourceKey } from './rows/source-stream.ts'
import { readSourceTable } from './rows/source-table.ts'
import type { KeyRange } from './rows/stream-sql.ts'
import { keyBoundsSelect, keysWithinSelect } from './rows/stream-sql.ts'

const rowsPerRange = 100_000
const maxRanges = 10_000
/** Rows that are looked at for each range, and at least. */
const sampledPerRange = 100
const minSampled = 20_000

/**
 * Cuts the keys of a view's source into ranges with about as many rows each. Together they hold every key that there is
 * or will be; a key with many rows makes them fewer.
 *
 * @param count how many; null: one for every 100,000 rows
 */
export async function keyRanges(db: Database, plan: ViewPlan, count: number | null): Promise<KeyRange[]> {
  const { source } = plan.spec
  const key = sourceKey(plan)
  const table = await readSourceTable(db, source)
  const { rows } = await explain(db, `SELECT FROM ${table.relation} s`)
  const pieces = Math.min(maxRanges, count ?? Math.max(1, Math.ceil(rows / rowsPerRange)))
  if (key.length === 0 || pieces === 1) return [{ from: null, to: null }]
  const share = Math.max(minSampled, pieces * sampledPerRange) / Math.max(1, rows)
  const select = keyBoundsSelect({ table, key, ...timesOf(plan) }, pieces, share)
  const found = await db.snapshot((snapshot) => snapshot.query<Record<string, string>>(select)) // a query of the user's only reads
  const bounds = found.map((row) => key.map((_, i) => row[`t${i}`] ?? ''))
  const apart = bounds.filter((bound, i) => i === 0 || JSON.stringify(bound) !== JSON.stringify(bounds[i - 1]))
  return [null, ...apart].map((from, i) => ({ from, to: apart[i] ?? null }))
}

/** A SELECT of the keys with an event in [from, to), epoch microseconds. */
export async function keysWithin(db: Pick<Database, 'query'>, plan: ViewPlan, from: number, to: number): Promise<string> {
  const table = await readSourceTable(db, plan.spec.source)
  return keysWithinSelect({ table, key: sourceKey(plan), ...timesOf(plan) }, from, to)
}

function timesOf({ spec }: ViewPlan) {
  return { eventTime: spec.source.eventTime, known: spec.source.known }
}
