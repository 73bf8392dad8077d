import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Column, Value } from '../../kernel/values/value-type.ts'
import { carriedColumns } from '../../offline/datasets/carried-columns.ts'
import type { JoinedBatch } from '../../offline/datasets/assemble.ts'
import type { JoinOptions, JoinSummary } from '../../offline/join.ts'
import { joinSpine } from '../../offline/join.ts'
import { openSpine } from '../../offline/spine/open-spine.ts'
import type { SpineColumn, SpineInput } from '../../offline/spine/spine.ts'
import { bindVersion } from '../../registry/models/bind-version.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { ModelVersion } from '../../registry/models/model-versions.ts'
import { readModelBytes } from '../../registry/models/model-versions.ts'
import type { VersionReference } from '../../registry/models/pick-version.ts'
import { pickVersion } from '../../registry/models/pick-version.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Logger } from '../../runtime/log.ts'
import type { Prediction } from '../../inference/load-model.ts'
import type { OpenModel } from '../../inference/open-model.ts'
import { createProcessPool } from '../../inference/process-pool.ts'
import { openUnserved } from '../../inference/open-unserved.ts'

export interface PredictSpineOptions extends Omit<JoinOptions, 'rule'> {
  readonly model: string
  /** Absent: the champion, or the newest version if there is no champion. */
  readonly version?: VersionReference
  readonly spine: SpineInput
  /** The spine's time column. Absent: its only one. */
  readonly time?: string
  /** The columns of the spine to copy. Absent: all. */
  readonly columns?: readonly string[]
  readonly log: Logger
}

/** Consecutive rows of the spine with the model's answers, by column. */
export interface PredictedBatch {
  readonly length: number
  /** The columns in `spine`: those of the spine that are copied. */
  readonly columns: readonly Column[]
  readonly spine: readonly (readonly (Value | null)[])[]
  /** The columns in `predictions`: the model's declared outputs. */
  readonly outputs: readonly Column[]
  /** null if a required feature is missing: the server would refuse that row. */
  readonly predictions: readonly (readonly (Value | null)[])[]
  readonly version: ModelVersion
  readonly service: ServicePlan
  /** The features of each row, as the join gives them: `times`, `values`, `missing`, and `statuses` if asked for. */
  readonly joined: JoinedBatch
}

export interface PredictSpineSummary extends JoinSummary {
  readonly version: ModelVersion
  readonly service: ServicePlan
  /** The columns of the spine that are copied. */
  readonly columns: readonly Column[]
  readonly outputs: readonly Column[]
  /** Rows without a prediction, because a required feature is missing. */
  readonly refused: number
}

/**
 * Predicts every row of a spine as of the row's own moment. The features come from the join that makes training sets,
 * by the same `evaluate` as in the server; the model is tried and runs as there.
 *
 * @param consume gets the batches in the spine's order. The next one waits until it is done.
 * @throws LockstepError what the spine, the join and the model throw
 */
export async function predictSpine(
  db: Database,
  catalog: Catalog,
  options: PredictSpineOptions,
  consume: (batch: PredictedBatch) => Promise<void> | void,
): Promise<PredictSpineSummary> {
  const declared = catalog.model(options.model)
  const version = pickVersion(declared, options.version)
  const { service, binding } = bindVersion(catalog, declared.spec, version)
  const pool = createProcessPool()
  const { name, operational } = declared
  const { log, signal } = options
  const named = { binding, name: `${name}@${version.version}`, operational, pool, log, signal }
  // also ends the run under way
  const endProcesses = (): void => pool.close()
  signal?.addEventListener('abort', endProcesses)
  try {
    const opened = await openUnserved(() => readModelBytes(db, name, version.version), named)
    try {
      const summary = await joinAndPredict(db, opened, service, options, (batch) => consume({ ...batch, version, service }))
      return { ...summary, version, service, outputs: opened.outputs }
    } finally {
      await opened.close()
    }
  } finally {
    signal?.removeEventListener('abort', endProcesses)
    pool.close()
  }
}

async function joinAndPredict(
  db: Database,
  opened: OpenModel,
  service: ServicePlan,
  options: PredictSpineOptions,
  consume: (batch: Omit<PredictedBatch, 'version' | 'service'>) => Promise<void> | void,
): Promise<Omit<PredictSpineSummary, 'version' | 'service' | 'outputs'>> {
  const { outputs } = opened
  const { time, columns: named = null } = options
  const spine = await openSpine(db, service, options.spine, { time, carried: named })
  try {
    const carried = carriedColumns(spine, named)
    const columns = carried.map((slot) => spine.columns[slot] as SpineColumn)
    refuseClash(columns, outputs)
    let refused = 0
    const summary = await joinSpine(db, service, spine, options, async (batch) => {
      const predicted = await predictJoined(opened, batch, options.signal)
      refused += predicted.refused
      const values = carried.map((slot) => batch.spine[slot] ?? [])
      await consume({ length: batch.length, columns, spine: values, outputs, predictions: predicted.columns, joined: batch })
    })
    return { ...summary, columns, refused }
  } finally {
    await spine.drop()
  }
}

/**
 * Rows without a required feature are refused: they have no prediction.
 *
 * @throws LockstepError why a row has no prediction
 */
async function predictJoined({ outputs, runColumns, predictUncached }: OpenModel, batch: JoinedBatch, signal: AbortSignal | undefined) {
  const rows = Array.from({ length: batch.length }, (_, row) => row).filter((row) => batch.missing[row]?.length === 0)
  const features = batch.values.map((column) => rows.map((row) => column[row] ?? null))
  // a row that failed runs once more, for the reason
  const again = async (i: number) => (await predictUncached([features.map((column) => column[i] ?? null)]))[0] as Prediction
  const found = await runColumns(features, rows.length, { again, signal })
  const columns = outputs.map(() => new Array<Value | null>(batch.length).fill(null))
  for (const [o, column] of columns.entries()) for (const [i, row] of rows.entries()) column[row] = found.outputs[o]?.[i] ?? null
  return { columns, refused: batch.length - rows.length }
}

function refuseClash(spine: readonly Column[], outputs: readonly Column[]): void {
  const clash = outputs.find((output) => spine.some((column) => column.name === output.name))
  if (clash === undefined) return
  throw new LockstepError(
    'SPINE_INVALID',
    `The spine has a column "${clash.name}", which is also the name of an output of the model. Rename the column, or leave it out: name the columns to copy (--columns).`,
    {
      details: { column: clash.name },
    },
  )
}
