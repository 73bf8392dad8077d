import { LockstepError } from '../kernel/errors.ts'
import type { ServicePlan } from '../kernel/service-plan.ts'
import type { Catalog, CatalogModel } from '../registry/catalog.ts'
import { bindModel } from '../registry/model-binding.ts'
import type { ModelVersion } from '../registry/model-versions.ts'
import type { LoadedModel } from './inference/load-model.ts'
import { loadModel } from './inference/load-model.ts'

/** @param wanted absent: the newest */
export function pickVersion(model: CatalogModel, wanted?: number): ModelVersion {
  const found = wanted === undefined ? model.versions.at(-1) : model.versions.find((version) => version.version === wanted)
  if (found !== undefined) return found
  const there = model.versions.map((version) => version.version).join(', ')
  throw new LockstepError(
    'UNKNOWN_DEFINITION',
    there === ''
      ? `The model "${model.name}" has no version yet; push one with "lockstep model push ${model.name} FILE".`
      : `The model "${model.name}" has no version ${wanted}; it has ${there}.`,
    { details: { model: model.name } },
  )
}

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
  const service = catalog.service(version.service)
  if (service.fingerprint !== version.serviceFingerprint) {
    throw new LockstepError(
      'MODEL_MISMATCH',
      `The model "${name}" was made for another definition of the service "${service.id}" than the registry holds; push it again for this one.`,
      { details: { model: model.name, version: version.version, service: service.id } },
    )
  }
  const binding = bindModel(service, version.contract, model.spec)
  return { service, loaded: await loadModel(await readBytes(model.name, version.version), binding, name) }
}
