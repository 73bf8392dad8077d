import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Column, Value } from '../../kernel/values/value-type.ts'
import type { Prediction } from '../../inference/load-model.ts'
import { loadModel } from '../../inference/load-model.ts'
import { bindVersion } from '../../registry/models/bind-version.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { ModelVersion } from '../../registry/models/model-versions.ts'
import { readModelBytes } from '../../registry/models/model-versions.ts'
import type { Database } from '../../runtime/postgres/database.ts'

/** A model version that runs in this process, beside any server. */
export interface RunnableVersion {
  readonly service: ServicePlan
  readonly outputs: readonly Column[]
  /** The features that reach the model, by name. */
  readonly inputs: ReadonlySet<string>
  /** Whether a server would answer this row: no required feature is missing. */
  accepts(values: readonly (Value | null)[]): boolean
  /** By index of the rows, which are features in service order. */
  run(rows: readonly (readonly (Value | null)[])[]): Promise<Prediction[]>
  close(): Promise<void>
}

const maxRowsPerRun = 1024

/** @throws LockstepError `UNKNOWN_DEFINITION`, `MODEL_MISMATCH`, `MODEL_INVALID` */
export async function openVersion(db: Database, catalog: Catalog, version: ModelVersion): Promise<RunnableVersion> {
  const { spec } = catalog.model(version.model)
  const { service, binding } = bindVersion(catalog, spec, version)
  const bytes = await readModelBytes(db, version.model, version.version)
  const loaded = await loadModel(bytes, binding, `${version.model}@${version.version}`)
  const step = loaded.maxRows ?? maxRowsPerRun
  const required = service.features.flatMap((feature, f) => (feature.required ? [f] : []))
  return {
    service,
    outputs: loaded.outputs,
    inputs: new Set(binding.inputs.flatMap(({ columns }) => columns.map(({ name }) => name))),
    accepts: (values) => required.every((f) => values[f] !== null),
    async run(rows) {
      const predictions: Prediction[] = []
      for (let at = 0; at < rows.length; at += step) predictions.push(...(await loaded.run(rows.slice(at, at + step))))
      return predictions
    },
    close: () => loaded.close(),
  }
}
