import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Column, Value } from '../../kernel/value-type.ts'
import type { JoinedBatch, JoinOptions, JoinSummary } from '../../offline/join.ts'
import { joinSpine } from '../../offline/join.ts'
import { openSpine } from '../../offline/spine/open-spine.ts'
import type { SpineInput } from '../../offline/spine/spine.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { ModelVersion } from '../../registry/model-versions.ts'
import { readModelBytes } from '../../registry/model-versions.ts'
import type { VersionReference } from '../../registry/pick-version.ts'
import { pickVersion } from '../../registry/pick-version.ts'
import type { Database } from '../../runtime/database.ts'
import type { LoadedModel } from '../../inference/load-model.ts'
import type { FeatureRow } from '../../inference/tensor-writer.ts'
import { loadModelVersion } from '../models/model-version.ts'

export interface PredictBatchOptions extends Omit<JoinOptions, 'rule'> {
  readonly model: string
  /** Absent: the champion, and where there is none the newest. */
  readonly version?: VersionReference
  readonly spine: SpineInput
  /** The spine's time column, where it is not evident. */
  readonly time?: string
}

/** Rows of one run of a model at most, where it takes more than one. */
const rowsPerRun = 1024

/** Consecutive rows of the spine with the model's answers, by column. */
export interface PredictedBatch {
  readonly length: number
  /** What `spine` holds, its time, keys, request values and whatever else it carries. */
  readonly columns: readonly Column[]
  readonly spine: readonly (readonly (Value | null)[])[]
  /** What `predictions` holds: the model's declared outputs. */
  readonly outputs: readonly Column[]
  /** null where a required feature is missing: the server would refuse that row. */
  readonly predictions: readonly (readonly (Value | null)[])[]
}

export interface PredictBatchSummary extends JoinSummary {
  readonly version: ModelVersion
  readonly service: ServicePlan
  /** The spine's. */
  readonly columns: readonly Column[]
  readonly outputs: readonly Column[]
  /** Rows without a prediction, because a required feature is missing. */
  readonly refused: number
}

/**
 * Predictions for every row of a spine as of the row's own moment: the features of a training set and the model run of the server.
 *
 * @param consume takes the batches in the spine's order, each before the next is made
 * @throws LockstepError what the spine, the join and the model throw
 */
export async function predictBatch(
  db: Database,
  catalog: Catalog,
  options: PredictBatchOptions,
  consume: (batch: PredictedBatch) => Promise<void> | void,
): Promise<PredictBatchSummary> {
  const model = catalog.model(options.model)
  const version = pickVersion(model, options.version)
  const { service, loaded } = await loadModelVersion(catalog, model, version, (name, number) => readModelBytes(db, name, number))
  try {
    const spine = await openSpine(db, service, options.spine, options.time === undefined ? {} : { time: options.time })
    try {
      refuseClash(spine.columns, loaded.outputs)
      let refused = 0
      const summary = await joinSpine(db, service, spine, options, async (batch) => {
        const predictions = await predictJoined(loaded, batch)
        refused += predictions.refused
        const { length, spine: values } = batch
        await consume({ length, columns: spine.columns, spine: values, outputs: loaded.outputs, predictions: predictions.columns })
      })
      return { ...summary, version, service, columns: spine.columns, outputs: loaded.outputs, refused }
    } finally {
      await spine.drop()
    }
  } finally {
    await loaded.close()
  }
}

async function predictJoined(loaded: LoadedModel, batch: JoinedBatch) {
  const rows: FeatureRow[] = []
  const places: number[] = []
  for (let row = 0; row < batch.length; row++) {
    if (batch.missing[row]?.length !== 0) continue
    rows.push(batch.values.map((column) => column[row] ?? null))
    places.push(row)
  }
  const columns = loaded.outputs.map(() => new Array<Value | null>(batch.length).fill(null))
  const step = loaded.maxRows ?? rowsPerRun
  for (let at = 0; at < rows.length; at += step) {
    const answers = await loaded.run(rows.slice(at, at + step))
    for (const [i, answer] of answers.entries()) {
      for (const [o, column] of columns.entries()) column[places[at + i] as number] = answer[o] ?? null
    }
  }
  return { columns, refused: batch.length - rows.length }
}

function refuseClash(spine: readonly Column[], outputs: readonly Column[]): void {
  const clash = outputs.find((output) => spine.some((column) => column.name === output.name))
  if (clash === undefined) return
  throw new LockstepError(
    'SPINE_INVALID',
    `The spine has a column "${clash.name}", which is also the name of an output of the model. Rename the column.`,
    {
      details: { column: clash.name },
    },
  )
}
