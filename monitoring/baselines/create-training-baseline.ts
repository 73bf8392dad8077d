import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { BuiltDataset } from '../../offline/datasets/build-dataset.ts'
import { buildDataset } from '../../offline/datasets/build-dataset.ts'
import type { DatasetFile, DatasetManifest } from '../../offline/datasets/dataset-manifest.ts'
import { filesOf, recipeOfManifest, statisticsOf } from '../../offline/datasets/dataset-manifest.ts'
import { partsByTime } from '../../offline/datasets/dataset-parts.ts'
import type { DatasetRecipe } from '../../offline/datasets/dataset-recipe.ts'
import { withEngineOf } from '../../offline/datasets/engine-of-manifest.ts'
import type { DatasetOutput, WrittenFile } from '../../offline/files/dataset-writer.ts'
import type { JoinProgress } from '../../offline/join.ts'
import type { ColumnStatistics } from '../../offline/profile/column-statistics.ts'
import { columnsBeyondChance, differingColumns } from '../../offline/profile/differing-columns.ts'
import type { StoredDataset } from '../../offline/datasets/stored-datasets.ts'
import { storeTrainingBaseline } from '../../offline/datasets/training-baseline.ts'
import type { TrainingProfile } from '../../offline/datasets/training-profile.ts'
import { sourceDifferences, spineDifference } from '../../offline/datasets/verify-dataset.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { shareError } from '../../statistics/sampling-error.ts'

export interface TrainingBaselineOptions {
  /**
   * Of a larger spine, a sample of so many rows is read: more than a baseline samples, because some of them may belong
   * to other parts.
   */
  readonly maxSpineRows?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: JoinProgress) => void
}

/**
 * Makes the baseline of a training set that has none, or rebuilds it: rows of the set are computed again from its
 * manifest, as `dataset verify` does, but of a large set only a sample. No file is read or written, except for the file
 * of the spine.
 *
 * @throws LockstepError `NOT_REPRODUCIBLE` if the rows are others than those of the set, and what `buildDataset` throws
 */
export async function createTrainingBaseline(
  db: Database,
  service: ServicePlan,
  { id, manifest }: Pick<StoredDataset, 'id' | 'manifest'>,
  { maxSpineRows = 150_000, ...options }: TrainingBaselineOptions,
): Promise<void> {
  const share = Math.min(1, maxSpineRows / manifest.spine.rows)
  const profiled = { ...options, profile: { statistics: statisticsOf(manifest) } }
  const built = await withEngineOf(db, manifest, options.signal, (engine) =>
    buildDataset(engine, service, share === 1 ? recipeOfManifest(manifest) : sampledRecipe(manifest, share), openNowhere, profiled),
  )
  const { profile } = built
  if (profile === null) throw new LockstepError('INTERNAL', `The training set "${id}" was not profiled.`)
  const rows = trainingFiles(manifest).reduce((sum, file) => sum + file.rows, 0)
  const differences = differencesOf(service, manifest, built, profile, { rows, share })
  if (differences.length > 0) throw notReproduced(id, differences)
  await db.kysely.transaction().execute((transaction) => storeTrainingBaseline(transaction, id, { ...profile, rows }))
}

function sampledRecipe(manifest: DatasetManifest, share: number): DatasetRecipe {
  const recipe = recipeOfManifest(manifest)
  const { fraction, ...chosen } = recipe.sample ?? { fraction: 1, seed: 1 }
  // a range says which rows of the whole spine it holds
  const parts = recipe.parts.some(({ range }) => range !== null) ? partsByTime([]) : recipe.parts
  return { ...recipe, sample: { ...chosen, fraction: fraction * share }, parts }
}

/** The files that a model is trained on. */
function trainingFiles(manifest: DatasetManifest): readonly DatasetFile[] {
  return manifest.file.part === null ? filesOf(manifest) : [manifest.file]
}

/**
 * What shows that the rows are others than those that the set was written of, a sentence each. Their order does not
 * matter. The statistics say it, because the bytes of a file depend on its format, and a sample has no file.
 *
 * @param expected `rows` that a model is trained on, and the `share` of the spine that was read
 */
function differencesOf(
  service: ServicePlan,
  manifest: DatasetManifest,
  { spine, join, statistics, files }: BuiltDataset<WrittenFile>,
  profile: TrainingProfile,
  { rows, share }: { readonly rows: number; readonly share: number },
): string[] {
  const names = new Set(service.features.map(({ name }) => name))
  const ofFeatures = (all: readonly ColumnStatistics[]): ColumnStatistics[] => all.filter(({ column }) => names.has(column))
  const was = ofFeatures(statisticsOf(manifest))
  const now = ofFeatures(statistics ?? files[0]?.statistics ?? [])
  if (share < 1) {
    const columns = columnsBeyondChance(was, now)
    const isExpected = Math.abs(profile.rows / rows - share) <= shareError(rows, share)
    const other = `A sample has ${profile.rows} rows where ${Math.round(rows * share)} were expected, so the spine has other rows.`
    return isExpected ? (columns.length === 0 ? [] : sourceDifferences(service, manifest, join, columns)) : [other]
  }
  const columns = differingColumns(was, now)
  if (columns.length === 0 && profile.rows === rows) return []
  return spine.rowsHash === manifest.spine.rowsHash
    ? sourceDifferences(service, manifest, join, columns)
    : [spineDifference(manifest.spine, spine)]
}

function notReproduced(id: string, differences: readonly string[]): LockstepError {
  return new LockstepError(
    'NOT_REPRODUCIBLE',
    `The training set "${id}" gets no baseline, because its rows cannot be recreated. ${differences.join(' ')} ` +
      `Restore the rows, or take logged predictions for a baseline ("lockstep baseline create MODEL --served 24h"). ` +
      `"lockstep dataset verify ${id}" reports all differences.`,
    { details: { id, differences } },
  )
}

const nowhere: DatasetOutput = {
  write: () => Promise.resolve(),
  seal: () => Promise.resolve({ rows: 0, bytes: 0, sha256: '' }),
  abort: () => Promise.resolve(),
}
const openNowhere = (): Promise<DatasetOutput> => Promise.resolve(nowhere)
