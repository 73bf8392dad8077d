import type { Window } from '../window.ts'
import type { ModelVersion } from '../../registry/models/model-versions.ts'
import type { FeatureEffects } from '../baselines/feature-effects.ts'
import { featureEffects } from '../baselines/feature-effects.ts'
import type { VersionTools } from '../baselines/run-version.ts'
import { withVersion } from '../baselines/run-version.ts'
import { trainingRows } from '../baselines/training-rows.ts'
import { sampleLog } from '../prediction-log/sample-log.ts'

const maxRows = 2_000
/** With fewer rows, the effects that are stored with the baseline say more. */
const minRows = 200

/**
 * Measures the effects of the features on rows that were logged in the window: each feature takes values of the
 * training set, so a feature that has become constant counts too.
 *
 * @returns null: too few rows are logged
 * @throws LockstepError `MODEL_MISMATCH`, and why the model does not predict all rows
 */
export async function loggedEffects(tools: VersionTools, pushed: ModelVersion, { from, to }: Window): Promise<FeatureEffects | null> {
  const { db, catalog } = tools
  const { model: name, version, dataset } = pushed
  return await withVersion(tools, pushed, async (model) => {
    const { service, outputs } = model
    const logged = await sampleLog(db, { model: name, version, service, outputs, from, to, limit: maxRows })
    const rows = logged.map(({ values }) => values).filter(model.accepts)
    if (rows.length < minRows) return null
    const trained = dataset === null ? [] : await trainingRows(db, catalog, dataset, service)
    const draws = trained.map(({ values }) => values).filter(model.accepts)
    return await featureEffects(model, rows, 'logged predictions', draws.length < minRows ? rows : draws)
  })
}
