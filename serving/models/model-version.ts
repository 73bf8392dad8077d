import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Catalog, CatalogModel } from '../../registry/catalog.ts'
import { bindVersion } from '../../registry/bind-version.ts'
import type { ModelVersion } from '../../registry/model-versions.ts'
import type { LoadedModel } from '../../inference/load-model.ts'
import { loadModel } from '../../inference/load-model.ts'

/**
 * Loads a pushed version with the feature service that it was pushed for, whatever the model's declaration says by now.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`, `MODEL_MISMATCH`, `MODEL_INVALID`, and what `readBytes` throws
 */
export async function loadModelVersion(
  catalog: Catalog,
  model: CatalogModel,
  version: ModelVersion,
  readBytes: (model: string, version: number) => Promise<Uint8Array>,
): Promise<{ readonly service: ServicePlan; readonly loaded: LoadedModel }> {
  const name = `${model.name}@${version.version}`
  const { service, binding } = bindVersion(catalog, model.spec, version)
  return { service, loaded: await loadModel(await readBytes(model.name, version.version), binding, name) }
}
