import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Column, Value, ValueType } from '../../kernel/values/value-type.ts'
import type { ErrorCode } from '../../kernel/errors.ts'
import type { ColumnRunner } from '../../inference/run-columns.ts'
import { carriedColumns } from '../../offline/datasets/carried-columns.ts'
import type { JoinedBatch } from '../../offline/datasets/assemble.ts'
import { joinSpine } from '../../offline/join.ts'
import { sliceSpine } from '../../offline/spine/slice-spine.ts'
import type { Spine } from '../../offline/spine/spine.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { StepContext } from '../../runtime/jobs/job-kind.ts'
import type { BatchOutput } from './batch-output.ts'
import type { BatchChunk, BatchPart, BatchSpec } from './batch-spec.ts'
import type { OnlinePredictions } from './online-predictions.ts'
import { gatherPredictions } from './online-predictions.ts'
import { spineKey } from '../features/prediction-key.ts'
import { ordinalName, statusName } from './batch-spec.ts'

/** The model of a batch. */
export interface BatchModel {
  readonly service: ServicePlan
  readonly outputs: readonly Column[]
  readonly run: ColumnRunner
}

export interface BatchPartTask extends BatchChunk, Pick<BatchSpec, 'request' | 'arrivedBefore'> {
  readonly spine: Spine
  /** null: the predictions are not served. */
  readonly online: OnlinePredictions | null
}

/** `OK`: the row has a prediction. `INVALID`: a number of it is not finite, and is null. */
type RowStatus = 'OK' | 'INVALID' | ErrorCode

/** The columns of the files: those of the spine, then its order, the model's outputs and a status. */
export function batchColumns(spine: Pick<Spine, 'columns'>, request: BatchSpec['request'], outputs: readonly Column[]) {
  const ordinal = spine.columns.findIndex(({ name }) => name === ordinalName)
  const wanted = request.columns ?? spine.columns.flatMap(({ name }) => (name === ordinalName ? [] : [name]))
  const slots = [...carriedColumns(spine, wanted), ordinal]
  const columns: Column<ValueType>[] = [
    ...slots.map((slot) => spine.columns[slot] as Column),
    ...outputs,
    { name: statusName, type: { kind: 'string' } },
  ]
  return { slots, columns }
}

/**
 * Predicts the rows of one part and writes them. Every row of the spine is a row of the part. A row that a server would
 * refuse, whose run fails or whose prediction is not finite, has no prediction and a status that says why.
 *
 * @throws LockstepError what the join, the model and the output throw
 */
export async function writeBatchPart(
  db: Database,
  { service, outputs, run }: BatchModel,
  { part, range, request, arrivedBefore, spine, online }: BatchPartTask,
  output: BatchOutput,
  { signal, progress }: Pick<StepContext, 'signal' | 'progress'>,
): Promise<BatchPart> {
  const began = process.cpuUsage()
  const own = await sliceSpine(db, spine, range, signal)
  const { slots, columns } = batchColumns(own, request, outputs)
  const writer = await output.part(part, columns)
  const served = online === null ? null : { ...gatherPredictions(outputs), keyOf: spineKey(service, own) }
  let refused = 0
  let done = 0
  try {
    const options = { bound: request.asOf, knownBefore: request.knownBefore, arrivedBefore, oneOfMany: true, keysAreRange: true, signal }
    await joinSpine(db, service, own, options, async (batch) => {
      const { predictions, statuses } = await predictJoined(run, batch)
      refused += statuses.reduce((sum, status) => (status === 'OK' ? sum : sum + 1), 0)
      await writer.write([...slots.map((slot) => batch.spine[slot] as readonly (Value | null)[]), ...predictions, statuses])
      if (served !== null)
        for (const [row, status] of statuses.entries())
          if (status === 'OK')
            served.add(
              served.keyOf(batch.spine, row),
              batch.times[row] as number,
              predictions.map((column) => column[row] ?? null),
            )
      done += batch.length
      progress(done, own.rows)
    })
    if (served !== null) await online?.put(served.predictions)
    const { name, rows, bytes, sha256, etag } = await writer.seal()
    const { user, system } = process.cpuUsage(began)
    const memory = { peakMegabytes: Math.round(process.resourceUsage().maxRSS / 1024) }
    return { name, rows, refused, bytes, sha256, etag, cpuSeconds: (user + system) / 1e6, memory }
  } catch (error) {
    await writer.abort()
    throw error
  }
}

export async function predictJoined(run: ColumnRunner, batch: Pick<JoinedBatch, 'values' | 'missing' | 'length'>) {
  const statuses = batch.missing.map((missing): RowStatus => (missing.length === 0 ? 'OK' : 'REQUIRED_FEATURE_MISSING'))
  const complete = statuses.every((status) => status === 'OK')
  const rows = complete ? null : statuses.flatMap((status, row) => (status === 'OK' ? [row] : []))
  const features = rows === null ? batch.values : batch.values.map((column) => rows.map((row) => column[row] ?? null))
  const found = await run(features, rows?.length ?? batch.length)
  const predictions = rows === null ? found.outputs : found.outputs.map(() => new Array<Value | null>(batch.length).fill(null))
  for (const [i, failure] of found.failures.entries()) if (failure !== null) statuses[rows?.[i] ?? i] = failure
  if (rows !== null)
    for (const [o, column] of found.outputs.entries())
      for (const [i, row] of rows.entries()) (predictions[o] as (Value | null)[])[row] = column[i] ?? null
  for (const column of predictions) markInvalid(column, statuses)
  return { predictions, statuses }
}

/** A number that is not finite becomes null, as in the answers of a server. */
function markInvalid(column: (Value | null)[], statuses: RowStatus[]): void {
  for (let row = 0; row < column.length; row++) {
    const value = column[row]
    const finite = typeof value === 'number' ? Number.isFinite(value) : !(value instanceof Float32Array) || value.every(Number.isFinite)
    if (finite) continue
    column[row] = null
    statuses[row] = 'INVALID'
  }
}
