import { parseJson } from '../kernel/parse-json.ts'
import { formatTimestamp } from '../kernel/time.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import { castTo } from './sql-type.ts'
import type { Database } from '../runtime/database.ts'
import { sourceRelation, sqlState } from '../runtime/relation.ts'
import { sqlIdentifier } from '../runtime/sql.ts'

/** An entity that has a row, and when that row happened. */
export interface StoredEntity {
  /** By part of the key, as JSON has it. */
  readonly key: Readonly<Record<string, unknown>>
  /** RFC 3339 */
  readonly eventTime: string
}

/** A query of the user may be slow, and an example is not worth a long wait. */
const timeoutMs = 1000

/**
 * An entity of the view's source: of a table that Lockstep created, one of the newest rows; else of any row. null: there
 * is none, or it cannot be read soon.
 */
export async function storedEntity(db: Database, { spec, key }: ViewPlan): Promise<StoredEntity | null> {
  const { source } = spec
  const columns = source.key.map(({ column }) => sqlIdentifier(column))
  if (columns.length === 0) return null
  // of text, as a driver would round a whole number beyond 2^53
  const parts = key.map(({ type }, i) => `to_json(${castTo(type, columns[i] ?? 'null', undefined)})::text`)
  const happened = `(extract(epoch from ${sqlIdentifier(source.eventTime)}::timestamptz) * 1000000)::bigint::text`
  const newest = source.relation.kind === 'owned' ? ' order by _xid desc' : ''
  const present = [...columns, sqlIdentifier(source.eventTime)].map((column) => `${column} is not null`).join(' and ')
  const select = `select array[${parts.join(', ')}] as parts, ${happened} as happened from ${sourceRelation(source)} _ where ${present}${newest} limit 1`
  try {
    const [row] = await db.snapshot(async (snapshot) => {
      await snapshot.query(`select set_config('statement_timeout', '${timeoutMs}', true)`)
      return await snapshot.query<{ readonly parts: readonly string[]; readonly happened: string }>(select)
    })
    if (row === undefined) return null
    const values = row.parts.map((part) => parseJson(part))
    return {
      key: Object.fromEntries(key.map(({ name }, i) => [name, typeof values[i] === 'bigint' ? String(values[i]) : values[i]])),
      eventTime: formatTimestamp(Number(row.happened)),
    }
  } catch (error) {
    // a table or column is missing, a value cannot be read, or the time is up
    if (['22', '42', '57'].includes(sqlState(error).slice(0, 2))) return null
    throw error
  }
}
