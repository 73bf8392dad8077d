import { inspectModel } from '../../inference/inspect-model.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import { bindVersion } from '../../registry/models/bind-version.ts'
import type { Catalog } from '../../registry/catalog.ts'
import { withDeclaredInputs } from '../../registry/models/declared-inputs.ts'
import type { ModelBinding } from '../../registry/models/model-binding.ts'
import { bindModel } from '../../registry/models/model-binding.ts'
import { readModelBytes } from '../../registry/models/model-versions.ts'
import type { VersionReference } from '../../registry/models/pick-version.ts'
import { pickVersion } from '../../registry/models/pick-version.ts'
import { sha256 } from '../../registry/sha256.ts'
import type { Database } from '../../runtime/postgres/database.ts'

/** The subject of an evaluation: a version, or a file that is not pushed. */
export interface EvaluatedModel {
  /** null: a file that is not pushed. */
  readonly version: number | null
  /** `fraud@3`; of a file, `fraud (candidate)`. */
  readonly name: string
  readonly sha256: string
  /** The training set that its push named. */
  readonly dataset: string | null
  readonly service: ServicePlan
  readonly binding: ModelBinding
  bytes(): Promise<Uint8Array>
}

/** @throws LockstepError `UNKNOWN_DEFINITION`, and what `bindVersion` throws */
export function evaluatedVersion(db: Database, catalog: Catalog, model: string, reference: VersionReference | undefined): EvaluatedModel {
  const declared = catalog.model(model)
  const found = pickVersion(declared, reference)
  const { version, dataset } = found
  return {
    version,
    name: `${model}@${version}`,
    sha256: found.sha256,
    dataset,
    ...bindVersion(catalog, declared.spec, found),
    bytes: () => readModelBytes(db, model, version),
  }
}

/**
 * A model file as the next version of a model would be served.
 *
 * @param dataset the training set that it was trained on; null: unknown
 * @throws LockstepError `MODEL_INVALID`, `MODEL_MISMATCH`, `UNKNOWN_DEFINITION`
 */
export async function evaluatedFile(
  catalog: Catalog,
  model: string,
  { bytes, file, dataset = null }: { readonly bytes: Uint8Array; readonly file: string; readonly dataset?: string | null },
): Promise<EvaluatedModel> {
  const { spec } = catalog.model(model)
  const service = catalog.service(spec.service)
  const binding = bindModel(service, withDeclaredInputs(await inspectModel(bytes, { file }), spec), spec)
  return {
    version: null,
    name: `${model} (candidate)`,
    sha256: sha256(bytes),
    dataset,
    service,
    binding,
    bytes: () => Promise.resolve(bytes),
  }
}
