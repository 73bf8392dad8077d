import type { Catalog } from '../../../registry/catalog.ts'
import { versionReference } from '../../../registry/pick-version.ts'
import type { ServingContext } from '../../context.ts'
import type { ServedModel } from '../../models/model-host.ts'

/**
 * Gives `fn` the model while it stays loaded.
 *
 * @param version a number, as text, or an alias; absent or empty: what the model answers by itself
 * @throws LockstepError `UNKNOWN_DEFINITION`, what keeps the version from loading, and what `fn` throws
 */
export async function useModel<T>(
  deps: Pick<ServingContext, 'catalog' | 'models'>,
  name: string,
  version: string | undefined,
  fn: (model: ServedModel, catalog: Catalog) => Promise<T>,
): Promise<T> {
  const catalog = deps.catalog()
  const wanted = version === undefined || version === '' ? undefined : versionReference(version)
  return await deps.models.use(catalog, name, wanted, (model) => fn(model, catalog))
}
