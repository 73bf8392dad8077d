import { LockstepError } from '../../kernel/errors.ts'
import type { DatasetManifest } from './dataset-manifest.ts'
import { filesOf } from './dataset-manifest.ts'
import type { Database } from '../../runtime/postgres/database.ts'

/** A training set as the registry stores it. */
export interface StoredDataset {
  readonly id: string
  /** `flight_features@1` */
  readonly service: string
  readonly fingerprint: string
  /** The path of `--out`. If the set is split, no file has it. */
  readonly path: string
  /** Where the rows are: the file, the folder of numbered parts, or each file of a split set. */
  readonly paths: readonly string[]
  readonly rows: number
  readonly createdAt: Date
  readonly manifest: DatasetManifest
}

/** The fields of a list: all but the manifest. */
export function withoutManifest(dataset: StoredDataset): Omit<StoredDataset, 'manifest'> {
  const { id, service, fingerprint, path, paths, rows, createdAt } = dataset
  return { id, service, fingerprint, path, paths, rows, createdAt }
}

/** All training sets, or those whose ids begin with the text, newest first. */
export async function readDatasets(db: Database, id = ''): Promise<StoredDataset[]> {
  const rows = await db.kysely
    .selectFrom('lockstep.datasets')
    .selectAll()
    .where((the) => the.fn<boolean>('starts_with', ['id', the.val(id)]))
    .orderBy('created_at', 'desc')
    .orderBy('id')
    .execute()
  return rows.map((row) => {
    // only createDataset writes these
    const manifest = row.manifest as DatasetManifest
    const { id, service, fingerprint, path } = row
    const files = filesOf(manifest)
    const split = files.flatMap((file) => (file.part ? [file.path] : []))
    return {
      id,
      service,
      fingerprint,
      path,
      paths: split.length === 0 ? [path] : split,
      rows: files.reduce((sum, file) => sum + file.rows, 0),
      createdAt: row.created_at,
      manifest,
    }
  })
}

/**
 * The training set whose id begins with the text.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION` where there is none, or more than one
 */
export async function findDataset(db: Database, id: string): Promise<StoredDataset> {
  const found = await readDatasets(db, id)
  const [dataset] = found
  if (dataset !== undefined && found.length === 1) return dataset
  const what = dataset === undefined ? 'There is no training set' : `There are ${found.length} training sets`
  throw new LockstepError('UNKNOWN_DEFINITION', `${what} "${id}"; "lockstep dataset list" lists them.`, {
    details: { id },
  })
}
