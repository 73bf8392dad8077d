import type { Window } from '../../window.ts'
import { versionRollup } from '../../drift/version-rollup.ts'
import type { ModelRollup } from '../../rollups/model-rollup.ts'
import type { CheckContext } from '../check-kind.ts'

/** The answers of a version in a window. The checks of one evaluation read it once. */
export async function sharedRollup(
  { db, shared: { rollups } }: CheckContext,
  { model, version }: { readonly model: string; readonly version: number },
  window: Window,
): Promise<ModelRollup> {
  const key = JSON.stringify([model, version, window.from, window.to])
  let rollup = rollups.get(key)
  if (rollup === undefined) rollups.set(key, (rollup = versionRollup(db, model, version, window)))
  return await rollup
}
