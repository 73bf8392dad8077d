import type { Catalog } from '../../../registry/catalog.ts'
import type { VersionReference } from '../../../registry/models/pick-version.ts'
import { versionReference } from '../../../registry/models/pick-version.ts'
import type { PredictContext } from '../../predict/predict.ts'
import type { ServedModel } from '../../models/load-version.ts'

/**
 * Gives `fn` the model while it stays loaded.
 *
 * @param version a number, as text, or an alias; absent or empty: the version that serves requests by default
 * @param options.measured whether it counts as a request for predictions. Default: true
 * @throws LockstepError `UNKNOWN_DEFINITION`, what keeps the version from loading, and what `fn` throws
 */
export async function useModel<T>(
  deps: Pick<PredictContext, 'catalog' | 'models'>,
  name: string,
  version: string | undefined,
  fn: (model: ServedModel, catalog: Catalog) => Promise<T>,
  options?: { readonly measured: boolean },
): Promise<T> {
  const catalog = deps.catalog()
  return await deps.models.use(catalog, name, wantedVersion(version), (model) => fn(model, catalog), options)
}

/** The version that a call names; undefined: it names none. */
export function wantedVersion(version: string | undefined): VersionReference | undefined {
  return version === undefined || version === '' ? undefined : versionReference(version)
}
