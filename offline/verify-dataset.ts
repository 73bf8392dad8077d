import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import type { ErrorCode } from '../kernel/errors.ts'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import type { ServicePlan } from '../kernel/service-plan.ts'
import type { Database } from '../runtime/database.ts'
import type { BuildOptions, BuiltDataset } from './build-dataset.ts'
import { buildDataset } from './build-dataset.ts'
import type { DatasetManifest } from './dataset-manifest.ts'
import { recipeOfManifest, viewsOf } from './dataset-manifest.ts'
import type { WrittenFile } from './files/dataset-writer.ts'
import { createDatasetDigest } from './files/dataset-writer.ts'
import type { ColumnStatistics } from './statistics/column-statistics.ts'

/** What came of making a training set again. */
export interface DatasetVerdict {
  readonly id: string
  /** Whether the file, and what was made again, are both what the manifest says. */
  readonly equal: boolean
  /** The file as it is now. `sha256` is null where it is gone. */
  readonly file: { readonly path: string; readonly state: 'same' | 'altered' | 'gone'; readonly sha256: string | null }
  /** What was made again; null where it could not be. */
  readonly rebuilt: WrittenFile | null
  /** What differs, a sentence each; empty where nothing does. */
  readonly differences: readonly string[]
}

/**
 * Makes a training set again from its manifest alone, by the same definitions and of the same rows, and compares it with what it was: no file is written.
 *
 * @param find gives the service of that id, or throws why there is none
 * @throws LockstepError where it cannot be told, as when a database cannot be reached; and the signal's reason
 */
export async function verifyDataset(
  db: Database,
  manifest: DatasetManifest,
  find: (service: string) => ServicePlan,
  options: BuildOptions,
): Promise<DatasetVerdict> {
  const { path, sha256 } = manifest.file
  const onDisk = await hashFile(path, options.signal)
  const state = onDisk === null ? 'gone' : onDisk === sha256 ? 'same' : 'altered'
  const { rebuilt, differences } = await rebuild(db, manifest, find, options)
  const all = [...fileDifference(manifest, state, onDisk), ...differences]
  return { id: manifest.id, equal: all.length === 0, file: { path, state, sha256: onDisk }, rebuilt, differences: all }
}

/** What a service, a spine or a source may have become meanwhile. Other failures say nothing about the training set. */
const lost: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'UNKNOWN_DEFINITION',
  'CODE_HASH_MISMATCH',
  'NOT_REPRODUCIBLE',
  'SPINE_INVALID',
  'FILE_UNREADABLE',
  'MISSING_REQUEST_VALUE',
  'FEATURE_NAME_CLASH',
  'SOURCE_MISSING',
  'SOURCE_TYPE_MISMATCH',
  'DEFINITIONS_INVALID',
  'INVALID_ROW',
  'INVALID_TIME',
  'TRANSFORM_FAILED',
])

async function rebuild(
  db: Database,
  manifest: DatasetManifest,
  find: (service: string) => ServicePlan,
  options: BuildOptions,
): Promise<Pick<DatasetVerdict, 'rebuilt' | 'differences'>> {
  try {
    const service = find(manifest.service.id)
    const redefined = definitionDifferences(manifest, service)
    if (redefined.length > 0) return { rebuilt: null, differences: redefined }
    const recipe = recipeOfManifest(manifest)
    const open = (columns: Parameters<typeof createDatasetDigest>[0]) => Promise.resolve(createDatasetDigest(columns, recipe.format))
    const built = await buildDataset(db, service, recipe, open, options)
    const { rows, bytes, sha256 } = built.file
    return { rebuilt: { rows, bytes, sha256 }, differences: contentDifferences(manifest, built) }
  } catch (error) {
    options.signal?.throwIfAborted()
    if (!(error instanceof LockstepError) || !lost.has(error.code)) throw error
    return { rebuilt: null, differences: [`It cannot be made again: ${messageOf(error)}`] }
  }
}

function definitionDifferences(manifest: DatasetManifest, service: ServicePlan): string[] {
  const now = new Map(viewsOf(service).map((view) => [view.id, view]))
  const views = manifest.views.flatMap(({ id, fingerprint, code }) => {
    const view = now.get(id)
    if (view?.fingerprint === fingerprint && view.code === code) return []
    return [`The view "${id}" is not the one that it was made by: its fingerprint is ${view?.fingerprint ?? 'none'}, not ${fingerprint}.`]
  })
  if (views.length > 0 || service.fingerprint === manifest.service.fingerprint) return views
  return [
    `The service "${service.id}" is not the one that it was made by: its fingerprint is ${service.fingerprint}, not ${manifest.service.fingerprint}.`,
  ]
}

function contentDifferences(manifest: DatasetManifest, built: BuiltDataset<WrittenFile>): string[] {
  const { file, spine } = manifest
  if (built.file.sha256 === file.sha256) return []
  const differs = `What was made again has the SHA-256 ${built.file.sha256} (${built.file.rows} rows), not ${file.sha256} (${file.rows} rows).`
  if (built.spine.sha256 !== spine.sha256) {
    const now = `${built.spine.sha256} (${built.spine.rows} rows), not ${spine.sha256} (${spine.rows} rows)`
    return [differs, `The spine gives other rows: its SHA-256 is ${now}.`]
  }
  const { droppedRows, heldBackRows } = built.join
  const unfrozen = Object.keys(droppedRows).filter((source) => !Object.hasOwn(heldBackRows, source))
  const where = [differs, ...columnDifferences(file.statistics, built.file.statistics)]
  if (unfrozen.length > 0) {
    const which = unfrozen.map((source) => `"${source}"`).join(', ')
    return [...where, `Rows of ${which} have changed: without a column "_xid", those of then cannot be told from those that came since.`]
  }
  return [...where, 'The spine is the same, and all sources tell when rows arrived: rows that were there have been changed or deleted.']
}

/** By what the columns look like: one that has the same statistics may differ, too. */
function columnDifferences(then: readonly ColumnStatistics[], now: readonly ColumnStatistics[]): string[] {
  const names = then.flatMap(({ column }, i) => (isDeepStrictEqual(then[i], now[i]) ? [] : [`"${column}"`]))
  return names.length === 0 ? [] : [`The statistics differ of ${names.join(', ')}.`]
}

function fileDifference({ file }: DatasetManifest, state: DatasetVerdict['file']['state'], sha256: string | null): string[] {
  if (state === 'same') return []
  if (state === 'gone') return [`The file "${file.path}" is gone.`]
  return [`The file "${file.path}" was altered: its SHA-256 is ${sha256}, not ${file.sha256}.`]
}

/** null where there is no such file. */
async function hashFile(path: string, signal: AbortSignal | undefined): Promise<string | null> {
  const hash = createHash('sha256')
  try {
    for await (const chunk of createReadStream(path)) {
      signal?.throwIfAborted()
      hash.update(chunk as Buffer)
    }
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return null
    if (signal?.aborted === true) throw cause
    throw new LockstepError('FILE_UNREADABLE', `The file "${path}" could not be read: ${messageOf(cause)}.`, { cause, details: { path } })
  }
  return hash.digest('hex')
}
