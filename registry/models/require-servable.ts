import { LockstepError, messageOf } from '../../kernel/errors.ts'
import { bindVersion } from './bind-version.ts'
import type { Catalog, CatalogModel } from '../catalog.ts'
import { pickVersion } from './pick-version.ts'

/**
 * The service and the binding of a version that is about to serve requests.
 *
 * @param unchanged what stays as it is if the version cannot be served: `"champion" was not changed`
 * @throws LockstepError `NOT_PROMOTABLE`
 */
export function requireServable(catalog: Catalog, model: CatalogModel, version: number, unchanged: string): ReturnType<typeof bindVersion> {
  try {
    return bindVersion(catalog, model.spec, pickVersion(model, version))
  } catch (cause) {
    throw new LockstepError(
      'NOT_PROMOTABLE',
      `The version ${version} of the model "${model.name}" cannot be served, so ${unchanged}: ${messageOf(cause)}`,
      { cause, details: { model: model.name, version } },
    )
  }
}
