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
import type { LoadedModel, Prediction } from '../../inference/load-model.ts'
import { loadModel } from '../../inference/load-model.ts'
import type { RowGroup } from './run-groups.ts'
import { runGroups } from './run-groups.ts'

export interface PredictBatchOptions extends Omit<JoinOptions, 'rule'> {
  readonly model: string
  /** Absent: the champion, or the newest version if there is no champion. */
  readonly version?: VersionReference
  readonly spine: SpineInput
  /** The spine's time column. Absent: its only one. */
  readonly time?: string
  /** The columns of the spine to copy. Absent: all. */
  readonly columns?: readonly string[]
}

/** The maximum number of rows in one run of a model that takes any number. */
const maxRowsPerRun = 1024

/** Consecutive rows of the spine with the model's answers, by column. */
export interface PredictedBatch {
  readonly length: number
  /** What `spine` holds: the columns of the spine that are copied. */
  readonly columns: readonly Column[]
  readonly spine: readonly (readonly (Value | null)[])[]
  /** What `predictions` holds: the model's declared outputs. */
  readonly outputs: readonly Column[]
  /** null if a required feature is missing: the server would refuse that row. */
  readonly predictions: readonly (readonly (Value | null)[])[]
  readonly version: ModelVersion
  readonly service: ServicePlan
  /** The features of each row, as the join gives them: `times`, `values`, `missing`, and `statuses` if asked for. */
  readonly joined: JoinedBatch
}

export interface PredictBatchSummary extends JoinSummary {
  readonly version: ModelVersion
  readonly service: ServicePlan
  /** Those of the spine that are copied. */
  readonly columns: readonly Column[]
  readonly outputs: readonly Column[]
  /** Rows without a prediction, because a required feature is missing. */
  readonly refused: number
}

/**
 * Predicts every row of a spine as of the row's own moment. The features come from the join that makes training sets,
 * by the same `evaluate` as in the server; the model runs by the same `runGroups`.
 *
 * @param consume gets the batches in the spine's order. The next one waits until it is done.
 * @throws LockstepError what the spine, the join and the model throw
 */
export async function predictBatch(
  db: Database,
  catalog: Catalog,
  options: PredictBatchOptions,
  consume: (batch: PredictedBatch) => Promise<void> | void,
): Promise<PredictBatchSummary> {
  const declared = catalog.model(options.model)
  const version = pickVersion(declared, options.version)
  const { service, binding } = bindVersion(catalog, declared.spec, version)
  const bytes = await readModelBytes(db, declared.name, version.version)
  const loaded = await loadModel(bytes, binding, `${declared.name}@${version.version}`)
  try {
    const { time, columns: named = null } = options
    const spine = await openSpine(db, service, options.spine, { time, carried: named })
    try {
      const carried = carriedColumns(spine, named)
      const columns = carried.map((slot) => spine.columns[slot] as SpineColumn)
      refuseClash(columns, loaded.outputs)
      let refused = 0
      const model = inRuns(loaded)
      const summary = await joinSpine(db, service, spine, options, async (batch) => {
        const predictions = await predictJoined(model, loaded.outputs, batch)
        refused += predictions.refused
        const values = carried.map((slot) => batch.spine[slot] ?? [])
        const rows = { length: batch.length, columns, spine: values, outputs: loaded.outputs, predictions: predictions.columns }
        await consume({ ...rows, version, service, joined: batch })
      })
      return { ...summary, version, service, columns, outputs: loaded.outputs, refused }
    } finally {
      await spine.drop()
    }
  } finally {
    await loaded.close()
  }
}

/** Rows without a required feature are refused: they are in no group, so they have no prediction. */
async function predictJoined(model: RowGroup['model'], outputs: readonly Column[], batch: JoinedBatch) {
  const rows = Array.from({ length: batch.length }, (_, row) => row).filter((row) => batch.missing[row]?.length === 0)
  const features = rows.map((row) => batch.values.map((column) => column[row] ?? null))
  const predictions = await runGroups([{ model, rows, read: { rows: features } }], batch.length)
  const columns = outputs.map((_, o) => predictions.map((prediction) => prediction?.[o] ?? null))
  return { columns, refused: batch.length - rows.length }
}

/** Runs the model on any number of rows, in several runs. */
function inRuns(loaded: LoadedModel): RowGroup['model'] {
  const step = loaded.maxRows ?? maxRowsPerRun
  return {
    async predict(rows) {
      const predictions: Prediction[] = []
      for (let at = 0; at < rows.length; at += step) predictions.push(...(await loaded.run(rows.slice(at, at + step))))
      return predictions
    },
  }
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
