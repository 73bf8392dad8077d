import type { Window } from '../window.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { ModelVersion } from '../../registry/models/model-versions.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { FeatureEffects } from '../baselines/feature-effects.ts'
import { featureEffects } from '../baselines/feature-effects.ts'
import { openVersion } from '../baselines/run-version.ts'
import { trainingRows } from '../baselines/training-rows.ts'
import { sampleLog } from '../prediction-log/sample-log.ts'

const maxRows = 2_000
/** With fewer rows, the effects that are stored with the baseline say more. */
const minRows = 200

/**
 * Measures the effects of the features on rows that were logged in the window: each feature takes values of the
 * training set, so a feature that has become constant counts too. Runs the model in this process.
 *
 * @returns null: too few rows are logged
 * @throws LockstepError `MODEL_MISMATCH`, `MODEL_INVALID`, `MODEL_FAILED`
 */
export async function loggedEffects(
  db: Database,
  catalog: Catalog,
  pushed: ModelVersion,
  { from, to }: Window,
): Promise<FeatureEffects | null> {
  const { model, version, dataset } = pushed
  const opened = await openVersion(db, catalog, pushed)
  try {
    const { service, outputs } = opened
    const logged = await sampleLog(db, { model, version, service, outputs, from, to, limit: maxRows })
    const rows = logged.map(({ values }) => values).filter(opened.accepts)
    if (rows.length < minRows) return null
    const trained = dataset === null ? [] : await trainingRows(db, catalog, dataset, service)
    const draws = trained.map(({ values }) => values).filter(opened.accepts)
    return await featureEffects(opened, rows, 'logged predictions', draws.length < minRows ? rows : draws)
  } finally {
    await opened.close()
  }
}
