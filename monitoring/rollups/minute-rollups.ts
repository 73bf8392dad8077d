import type { Database } from '../../runtime/postgres/database.ts'
import type { WrittenMinute } from './coverage.ts'
import type { ColumnsRead, StoredRollup } from './merged-rollups.ts'
import { readWithColumns } from './merged-rollups.ts'
import type { RollupKey } from './rollup-writer.ts'

/** How many rows are read at once: their columns may have hundreds of kilobytes each. */
const rowsAtOnce = 100

const micros = `(extract(epoch FROM at) * 1000000)::float8`
const window = 'at >= to_timestamp($1::float8 / 1000000) AND at < to_timestamp($2::float8 / 1000000)'

/** The rows of all processes for models, in batches. Epoch microseconds, [from, to). */
export async function* readMinutes(
  db: Pick<Database, 'query'>,
  from: number,
  to: number,
  models: readonly string[],
  { only, columns = 'complete' }: { readonly only?: Pick<RollupKey, 'version' | 'role'>; readonly columns?: ColumnsRead },
): AsyncGenerator<StoredRollup[]> {
  let after: readonly unknown[] = [from, '', '', -1, '']
  const filter = only === undefined ? '' : 'AND version = $9 AND role = $10'
  for (;;) {
    const asked = [from, to, models, ...after, ...(only === undefined ? [] : [only.version, only.role])]
    const rows = await readWithColumns(columns, (sql) =>
      db.query<StoredRollup & { process: string }>(
        // columns are read of these rows alone: a sort would read them of all rows after it
        `SELECT 'minute' AS step, ${micros} AS at, process, model, version, role, traffic, ${sql}, NULL AS coverage
         FROM (
           SELECT * FROM lockstep.rollups
           WHERE ${window} AND model = ANY ($3::text[]) ${filter}
             AND (at, process, model, version, role) > (to_timestamp($4::float8 / 1000000), $5::text, $6::text, $7::int, $8::text)
           ORDER BY at, process, model, version, role LIMIT ${rowsAtOnce}
         ) page
         ORDER BY page.at, process, model, version, role`,
        asked,
      ),
    )
    const last = rows.at(-1)
    if (last !== undefined) yield rows
    if (last === undefined || rows.length < rowsAtOnce) return
    after = [last.at, last.process, last.model, last.version, last.role]
  }
}

/** The minutes that processes have written, and the database's time, epoch microseconds. */
export async function readWritten(
  db: Pick<Database, 'query'>,
  from: number,
  to: number,
): Promise<{ readonly written: readonly WrittenMinute[]; readonly now: number }> {
  const rows = await db.query<(WrittenMinute | { readonly at: null }) & { readonly now: number }>(
    `SELECT (extract(epoch FROM clock.now) * 1000000)::float8 AS now, ${micros} AS at, process, ended
     FROM (SELECT clock_timestamp() AS now) clock LEFT JOIN (SELECT * FROM lockstep.rollups WHERE ${window} AND model = '') written ON true`,
    [from, to],
  )
  return { written: rows.flatMap((row) => (row.at === null ? [] : [row])), now: rows[0]?.now ?? to }
}
