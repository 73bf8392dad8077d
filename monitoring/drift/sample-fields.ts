import type { Window } from '../window.ts'
import { asRecord } from '../../kernel/is-record.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { readLog } from '../prediction-log/columns.ts'

const sampledRows = 2_000
/** With fewer rows on a side, nothing is said. */
export const minSampledRows = 200
/** PSI above what chance gives, as for a column. */
export const minSampledPsi = 0.1

/**
 * Keys, request data or features of a sample of logged predictions, by name: the same sample each time.
 *
 * @param version null: all that answered, without shadows
 */
export async function sampleFields<Name extends 'keys' | 'request' | 'features'>(
  db: Pick<Database, 'query'>,
  fields: readonly Name[],
  { model, version }: { readonly model: string; readonly version: number | null },
  { from, to }: Window,
): Promise<Readonly<Record<Name, Readonly<Record<string, unknown>>>>[]> {
  const rows = await readLog(
    db,
    fields,
    `WHERE prediction_log.at >= to_timestamp($1) AND prediction_log.at < to_timestamp($2) AND prediction_log.model = $3
       AND (prediction_log.version = $4 OR $4::int IS NULL AND prediction_log.role IS DISTINCT FROM 'shadow')
     ORDER BY hashtextextended(prediction_log.request_id, prediction_log.entity) LIMIT $5`,
    [from / 1e6, to / 1e6, model, version, sampledRows],
  )
  return rows.map(
    (row) => Object.fromEntries(fields.map((field) => [field, asRecord(row[field])])) as Record<Name, Record<string, unknown>>,
  )
}
