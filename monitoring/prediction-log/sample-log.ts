import { columnKeys } from '../../kernel/column-keys.ts'
import { asRecord } from '../../kernel/is-record.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import { valueFromJson } from '../../kernel/values/value-json.ts'
import type { Column, Value, ValueType } from '../../kernel/values/value-type.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { readLog } from './columns.ts'

/** Which rows of the log to sample. */
export interface LogSampleQuery {
  readonly model: string
  readonly version: number
  readonly service: ServicePlan
  readonly outputs: readonly Column[]
  /** Epoch microseconds: logged from `from` on and before `to`. */
  readonly from: number
  readonly to: number
  readonly limit: number
}

export interface SampledPrediction {
  /** By key of the service (`columnKeys`). Rows with the same text are of one entity. */
  readonly entities: readonly string[]
  /** By index of the service's features. */
  readonly values: readonly (Value | null)[]
  /** By name of the feature, of those alone that are not PRESENT. */
  readonly statuses: Readonly<Record<string, unknown>>
  /** By index of the outputs. */
  readonly outputs: readonly (Value | null)[]
}

/**
 * A sample of logged rows, chosen by a hash of request and row: the same log gives the same rows.
 *
 * @throws LockstepError `INVALID_TYPE`, `INVALID_TIME` for a row that something else has written
 */
export async function sampleLog(
  db: Pick<Database, 'query'>,
  { model, version, service, outputs, from, to, limit }: LogSampleQuery,
): Promise<SampledPrediction[]> {
  const rows = await readLog(
    db,
    ['keys', 'features', 'statuses', 'outputs', 'requestId', 'entity'],
    `WHERE prediction_log.at >= to_timestamp($1) AND prediction_log.at < to_timestamp($2) AND prediction_log.model = $3
       AND prediction_log.version = $4 AND prediction_log.service = $5 AND prediction_log.service_fingerprint = $6
     ORDER BY hashtextextended(prediction_log.request_id, prediction_log.entity), prediction_log.request_id, prediction_log.entity
     LIMIT $7`,
    [from / 1e6, to / 1e6, model, version, service.id, service.fingerprint, limit],
  )
  const { list } = columnKeys(service)
  return rows.map((row) => {
    const keys = asRecord(row.keys)
    const entityOf = (columns: readonly string[]) => columns.map((name) => String(keys[name])).join('\0')
    return {
      entities: list.map(({ columns }) => (columns.length === 0 ? `${row.requestId} ${row.entity}` : entityOf(columns))),
      values: valuesOf(service.features, row.features, 'The logged feature'),
      statuses: asRecord(row.statuses),
      outputs: valuesOf(outputs, row.outputs, 'The logged output'),
    }
  })
}

function valuesOf(columns: readonly Column<ValueType>[], json: unknown, what: string): (Value | null)[] {
  const values = asRecord(json)
  return columns.map(({ name, type }) => valueFromJson(type, values[name] ?? null, `${what} "${name}"`))
}
