import { parseJson } from '../kernel/values/parse-json.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import { castTo } from './rows/sql-type.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { sourceRelation, sqlState } from '../runtime/postgres/relation.ts'
import { sqlIdentifier } from '../runtime/postgres/sql.ts'

/** An entity that has a row, and when that row counts. */
export interface StoredEntity {
  /** By part of the key, as JSON has it. */
  readonly key: Readonly<Record<string, unknown>>
  /** From when on its row counts, epoch microseconds; null: never. */
  readonly visibleAt: number | null
}

/** A query of the user may be slow, and an example is not worth a long wait. */
const timeoutMs = 1000

/**
 * An entity of the view's source: of a table that Lockstep created, one of the newest rows; else of any row. null:
 * there is none, or it cannot be read soon.
 */
export async function storedEntity(db: Database, { spec, key, visibleAt }: ViewPlan): Promise<StoredEntity | null> {
  const { source } = spec
  const columns = source.key.map(({ column }) => sqlIdentifier(column))
  if (columns.length === 0) return null
  // of text, as a driver would round a whole number beyond 2^53
  const parts = key.map(({ type }, i) => `to_json(${castTo(type, columns[i] ?? 'null', undefined)})::text`)
  const times = [source.eventTime, ...(source.known === null ? [] : [source.known])].map(
    (column) => `(extract(epoch from ${sqlIdentifier(column)}::timestamptz) * 1000000)::float8`,
  )
  const newest = source.relation.kind === 'owned' ? ' order by _xid desc' : ''
  const present = [...columns, sqlIdentifier(source.eventTime)].map((column) => `${column} is not null`).join(' and ')
  const select = `select array[${parts.join(', ')}] as parts, array[${times.join(', ')}] as times from ${sourceRelation(source)} _ where ${present}${newest} limit 1`
  try {
    const [row] = await db.snapshot(async (snapshot) => {
      await snapshot.query(`select set_config('statement_timeout', '${timeoutMs}', true)`)
      return await snapshot.query<{ readonly parts: readonly string[]; readonly times: readonly (number | null)[] }>(select)
    })
    if (row === undefined) return null
    const [happened, known = null] = row.times
    const at = visibleAt(happened ?? Number.POSITIVE_INFINITY, known)
    const values = row.parts.map((part) => parseJson(part))
    return {
      key: Object.fromEntries(key.map(({ name }, i) => [name, typeof values[i] === 'bigint' ? String(values[i]) : values[i]])),
      visibleAt: Number.isFinite(at) ? at : null,
    }
  } catch (error) {
    // a table or column is missing, a value cannot be read, or the time is up
    if (['22', '42', '57'].includes(sqlState(error).slice(0, 2))) return null
    throw error
  }
}
