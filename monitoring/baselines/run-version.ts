import type { ErrorCode } from '../../kernel/errors.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Column, Value } from '../../kernel/values/value-type.ts'
import type { FeatureColumns } from '../../inference/load-model.ts'
import type { OpenModel } from '../../inference/open-model.ts'
import { openUnserved } from '../../inference/open-unserved.ts'
import { createProcessPool } from '../../inference/process-pool.ts'
import { bindVersion } from '../../registry/models/bind-version.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { ModelVersion } from '../../registry/models/model-versions.ts'
import { readModelBytes } from '../../registry/models/model-versions.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Logger } from '../../runtime/log.ts'

export interface VersionTools {
  readonly db: Database
  readonly catalog: Catalog
  readonly log: Logger
  /** Also ends the run in progress. */
  readonly signal?: AbortSignal | undefined
}

/** A model version that runs outside servers, in the same way as on them. */
export interface RunnableVersion {
  readonly service: ServicePlan
  readonly outputs: readonly Column[]
  /** The features that reach the model, by name. */
  readonly inputs: ReadonlySet<string>
  /** Whether a server would answer this row: no required feature is missing. */
  accepts(values: readonly (Value | null)[]): boolean
  /**
   * @param columns by index of the service's features
   * @returns by index of `outputs`, then by row
   * @throws LockstepError `MODEL_INVALID`; `MODEL_FAILED`, `MODEL_TIMEOUT`, `MODEL_UNAVAILABLE` if a row has no
   *   prediction
   */
  run(columns: FeatureColumns, rows: number): Promise<Value[][]>
}

/**
 * Calls `use` with a version. Its model is loaded at the first run, and its processes end with `use`.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`, `MODEL_MISMATCH`, `MODEL_INVALID`, and what `use` throws
 */
export async function withVersion<T>(
  { db, catalog, log, signal }: VersionTools,
  version: ModelVersion,
  use: (version: RunnableVersion) => Promise<T>,
): Promise<T> {
  const { spec, operational } = catalog.model(version.model)
  const { service, binding } = bindVersion(catalog, spec, version)
  const required = service.features.flatMap((feature, f) => (feature.required ? [f] : []))
  const name = `${version.model}@${version.version}`
  const pool = createProcessPool()
  const endProcesses = (): void => pool.close()
  let opened: Promise<OpenModel> | null = null

  async function run(columns: FeatureColumns, rows: number): Promise<Value[][]> {
    signal?.throwIfAborted()
    const bytes = () => readModelBytes(db, version.model, version.version)
    opened ??= openUnserved(bytes, { binding, name, operational, pool, log, signal })
    try {
      const { runAllRows } = await opened
      return await runAllRows(columns, rows, signal)
    } catch (error) {
      signal?.throwIfAborted()
      throw isModelFailure(error) ? notPredicted(name, error) : error
    }
  }

  signal?.addEventListener('abort', endProcesses)
  try {
    return await use({
      service,
      outputs: binding.outputs.map((output) => ({ name: output.name, type: output.type })),
      inputs: new Set(binding.inputs.flatMap(({ columns }) => columns.map((column) => column.name))),
      accepts: (values) => required.every((f) => values[f] !== null),
      run,
    })
  } finally {
    signal?.removeEventListener('abort', endProcesses)
    await closeOpened(opened).finally(endProcesses)
  }
}

async function closeOpened(opened: Promise<OpenModel> | null): Promise<void> {
  const model = await opened?.catch(() => null)
  await model?.close()
}

const failureCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['MODEL_FAILED', 'MODEL_TIMEOUT', 'MODEL_UNAVAILABLE'])

/** Whether runs of a model fail: neither the database nor a definition is the cause. */
export function isModelFailure(error: unknown): error is LockstepError {
  return error instanceof LockstepError && failureCodes.has(error.code)
}

function notPredicted(name: string, cause: LockstepError): LockstepError {
  const { code, message, details } = cause
  const why = code === 'MODEL_UNAVAILABLE' ? 'A run of these rows ends its process.' : message.replace(/\.?$/, '.')
  return new LockstepError(
    code,
    `The model version "${name}" does not predict all rows of its training set or prediction log. ${why} Push a version that does.`,
    { details, cause },
  )
}
