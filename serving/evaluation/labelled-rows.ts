import { LockstepError } from '../../kernel/errors.ts'
import type { PartName } from '../../offline/datasets/dataset-parts.ts'
import { filesOf } from '../../offline/datasets/dataset-manifest.ts'
import { findDataset } from '../../offline/datasets/stored-datasets.ts'
import type { Database } from '../../runtime/postgres/database.ts'

/** The files with the rows on which versions are compared. */
export interface LabelledRows {
  /** Paths or URLs: .parquet, .csv or .jsonl. They have the same columns. */
  readonly files: readonly string[]
  /** null: the files are of no training set of the registry. */
  readonly dataset: RowsOfDataset | null
  /** The column with the time of a row; null: unknown. */
  readonly time: string | null
}

export interface RowsOfDataset {
  readonly id: string
  /** null: all rows. */
  readonly part: PartName | null
  /** `flight_features@1` */
  readonly service: string
  readonly fingerprint: string
  readonly path: string
}

export const datasetParts = ['train', 'validation', 'test', 'all'] as const

/**
 * The rows of a training set, or of a part of it.
 *
 * @param id the first characters of the id are enough
 * @param asked default: `test` if the set is split, or else all rows
 * @throws LockstepError `UNKNOWN_DEFINITION`, `USAGE`
 */
export async function rowsOfDataset(db: Database, id: string, asked: (typeof datasetParts)[number] | undefined): Promise<LabelledRows> {
  const { manifest, ...stored } = await findDataset(db, id)
  const files = filesOf(manifest)
  const names = files.flatMap(({ part }) => part ?? [])
  const part = asked ?? (names.includes('test') ? 'test' : 'all')
  if (part !== 'all' && !names.includes(part)) {
    const has = names.length === 0 ? 'it is not split' : `it has ${names.join(', ')}`
    throw new LockstepError('USAGE', `The training set "${stored.id}" has no part "${part}": ${has}. Name another part, or all.`)
  }
  return {
    files: files.filter((file) => part === 'all' || file.part === part).map(({ path }) => path),
    dataset: {
      id: stored.id,
      part: part === 'all' ? null : part,
      service: stored.service,
      fingerprint: stored.fingerprint,
      path: stored.path,
    },
    time: manifest.spine.time,
  }
}
