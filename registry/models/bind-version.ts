import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { ModelSpec } from '../../kernel/specs/service-spec.ts'
import type { Catalog } from '../catalog.ts'
import type { ModelBinding } from './model-binding.ts'
import { bindModel } from './model-binding.ts'
import type { ModelVersion } from './model-versions.ts'

/**
 * Whether and how a pushed version can be served: with the feature service that it was pushed for, whatever the model's
 * declaration says by now, and with the outputs that are declared now.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`, `MODEL_MISMATCH`, `MODEL_INVALID`, or why the service is broken
 */
export function bindVersion(
  catalog: Pick<Catalog, 'service'>,
  spec: ModelSpec,
  version: ModelVersion,
): { readonly service: ServicePlan; readonly binding: ModelBinding } {
  const service = catalog.service(version.service)
  if (service.fingerprint !== version.serviceFingerprint) {
    throw new LockstepError(
      'MODEL_MISMATCH',
      `The model "${spec.name}@${version.version}" was pushed for another definition of the service "${service.id}". Push it again for the current one.`,
      { details: { model: spec.name, version: version.version, service: service.id } },
    )
  }
  return { service, binding: bindModel(service, version.contract, spec) }
}
