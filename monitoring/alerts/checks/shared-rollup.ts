import type { Window } from '../../window.ts'
import { versionRollup } from '../../drift/version-rollup.ts'
import type { ModelRollup } from '../../rollups/model-rollup.ts'
import type { CheckContext } from '../check-kind.ts'

const rollups = new WeakMap<CheckContext['window'], Map<string, Promise<ModelRollup>>>()

/** What a version answered in a window. The checks of one evaluation read it once. */
export async function sharedRollup(
  { db, window: evaluated }: CheckContext,
  { model, version }: { readonly model: string; readonly version: number },
  window: Window,
): Promise<ModelRollup> {
  let known = rollups.get(evaluated)
  if (known === undefined) rollups.set(evaluated, (known = new Map()))
  const key = JSON.stringify([model, version, window.from, window.to])
  let rollup = known.get(key)
  if (rollup === undefined) known.set(key, (rollup = versionRollup(db, model, version, window)))
  return await rollup
}
