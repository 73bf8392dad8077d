import { LockstepError } from '../../kernel/errors.ts'
import { asRecord } from '../../kernel/is-record.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import { valueFromJson } from '../../kernel/values/value-json.ts'
import type { Column, Value, ValueType } from '../../kernel/values/value-type.ts'
import type { Database, Snapshot } from '../../runtime/postgres/database.ts'
import { sqlText } from '../../runtime/postgres/sql.ts'
import type { ExportedOutcome } from '../outcomes/exported-outcome.ts'
import { joinedOutcome, outcomeColumns } from '../outcomes/exported-outcome.ts'
import type { LogField } from './columns.ts'
import { logColumnName, logColumns, readSql } from './columns.ts'

/** The exported rows: those of one model from one feature service. */
export interface ExportQuery {
  readonly model: string
  readonly service: ServicePlan
  readonly outputs: readonly Column[]
  /** Epoch microseconds: logged from `since` on and before `until`. */
  readonly since: number
  readonly until: number
  /** Their outcomes, in further columns (`outcomeColumns`). Absent: no such columns. */
  readonly outcome?: ExportedOutcome
}

/** The exported fields of the row itself, under names that no feature has: `_request_id` for `requestId`. */
const ownFields = [
  'at',
  'requestId',
  'predictionId',
  'entity',
  'version',
  'asOf',
  'role',
  'experiment',
  'variant',
] as const satisfies readonly LogField[]
const kinds = { timestamptz: 'timestamp', text: 'string', integer: 'int32' } as const
const own: readonly Column[] = ownFields.map((field) => ({
  name: `_${logColumnName(field)}`,
  type: { kind: kinds[logColumns[field].type] },
}))

/**
 * The fields of the row itself; the service's keys, request values and features; the outputs as `output__NAME`; and the
 * outcome.
 */
export function exportColumns({ service, outputs, outcome }: ExportQuery): Column<ValueType>[] {
  const logged = loggedColumns(service, outputs)
  return outcome === undefined ? logged : [...logged, ...outcomeColumns(outcome)]
}

function loggedColumns(service: ServicePlan, outputs: readonly Column[]): Column<ValueType>[] {
  const named = outputs.map(({ name, type }) => ({ name: `output__${name}`, type }))
  const all: Column<ValueType>[] = []
  // a key may be request data, too
  for (const column of [...own, ...service.keys, ...service.request, ...service.features, ...named])
    if (!all.some(({ name }) => name === column.name)) all.push({ name: column.name, type: column.type })
  return all
}

/**
 * Batches by column, in the order in which they were logged.
 *
 * @throws LockstepError `INVALID_ROW` for a row that something else has written; with an outcome, those of
 *   `maturePredictions`
 */
export async function* exportPredictions(snapshot: Snapshot, query: ExportQuery): AsyncGenerator<(Value | null)[][]> {
  const { model, service, outputs, since, until } = query
  const [columns, exported] = [loggedColumns(service, outputs), exportColumns(query)]
  const outcome = query.outcome === undefined ? null : await joinedOutcome(snapshot, query.outcome, since, until)
  const output = new Map(outputs.map(({ name }) => [`output__${name}`, name]))
  const moment = (micros: number) => `to_timestamp(${micros / 1e6})`
  const fields: readonly LogField[] = ['keys', 'request', 'features', 'outputs', ...ownFields]
  const selected = [`json_build_array(${fields.map(readSql).join(', ')})::text`, ...(outcome?.fields ?? [])]
  const select = `SELECT ${selected.join(', ')} FROM lockstep.prediction_log ${outcome?.join ?? ''} WHERE at >= ${moment(since)} AND at < ${moment(until)} AND model = ${sqlText(model)}
      AND service = ${sqlText(service.id)} AND service_fingerprint = ${sqlText(service.fingerprint)} ORDER BY at, request_id, entity`
  for await (const { bytes, starts } of snapshot.tuples(select, outcome === null ? {} : { fullScan: true, largeJoin: true })) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const rows = starts.map((start) => {
      const end = start + 6 + view.getInt32(start + 2)
      const text = bytes.toString('utf8', start + 6, end)
      const [keys, request, features, outputValues, ...ownValues] = JSON.parse(text) as unknown[]
      const ofRow: Readonly<Record<string, unknown>> = Object.fromEntries(own.map(({ name }, i) => [name, ownValues[i]]))
      const named = { ...asRecord(request), ...asRecord(keys), ...asRecord(features), ...ofRow }
      const requestId = String(ofRow['_request_id'])
      const values = columns.map(({ name, type }) => {
        const outputName = output.get(name)
        const json = outputName === undefined ? named[name] : asRecord(outputValues)[outputName]
        if (json === undefined) throw unreadable(requestId, name)
        return valueFromJson(type, json, `"${name}" of the request "${requestId}"`)
      })
      if (outcome !== null) values.push(...outcome.read(bytes, view, end, ofRow['_prediction_id'] !== null, Number(ofRow['_as_of'])))
      return values
    })
    yield exported.map((_, c) => rows.map((row) => row[c] ?? null))
  }
}

/**
 * What other services, or other definitions of the same one, have made in that time, which an export of this one leaves
 * out.
 */
export async function otherServices(
  db: Pick<Database, 'query'>,
  { model, service, since, until }: ExportQuery,
): Promise<{ readonly id: string; readonly rows: number }[]> {
  const moment = (micros: number) => `to_timestamp(${micros / 1e6})`
  const found = await db.query<{ service: string; rows: string }>(
    `SELECT service, count(*)::text AS rows FROM lockstep.prediction_log WHERE at >= ${moment(since)} AND at < ${moment(until)} AND model = ${sqlText(model)}
      AND (service, service_fingerprint) <> (${sqlText(service.id)}, ${sqlText(service.fingerprint)}) GROUP BY service ORDER BY service`,
  )
  return found.map(({ service: id, rows }) => ({ id, rows: Number(rows) }))
}

function unreadable(requestId: string, name: string): LockstepError {
  return new LockstepError(
    'INVALID_ROW',
    `The prediction log has no "${name}" in a row of the request "${requestId}"; another program has written it, or the model had other outputs then. Export another time range.`,
  )
}
