import type { ErrorCode } from '../../kernel/errors.ts'
import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { BuildOptions, BuiltDataset } from './build-dataset.ts'
import { buildDataset } from './build-dataset.ts'
import type { DatasetFile, DatasetManifest } from './dataset-manifest.ts'
import { filesOf, recipeOfManifest, viewsOf } from './dataset-manifest.ts'
import type { WrittenFile } from '../files/dataset-writer.ts'
import { hashFile } from '../files/hash-file.ts'
import { withEngineOf } from './engine-of-manifest.ts'
import { createDatasetDigest } from '../files/dataset-writer.ts'
import { differingColumns } from '../profile/differing-columns.ts'
import { filesDifference } from '../source-files/stored-files.ts'
import type { SpineOrder } from '../spine/query-order.ts'

/** The result of rebuilding a training set. */
export interface DatasetVerdict {
  readonly id: string
  /** Whether the files and the rebuilt files equal those of the manifest. */
  readonly equal: boolean
  /** The files as they are now. */
  readonly files: readonly FoundFile[]
  /** The rebuilt files, by index of `files`; null if the set cannot be rebuilt, or another engine made it. */
  readonly rebuilt: readonly WrittenFile[] | null
  /**
   * How the rows of the spine were ordered before they were compared: `values`, whatever order its query gave them in,
   * as it asks for none.
   */
  readonly order: SpineOrder
  /** A sentence for each difference. */
  readonly differences: readonly string[]
}

export interface FoundFile {
  readonly path: string
  readonly state: 'same' | 'altered' | 'gone'
  /** null where it is gone. */
  readonly sha256: string | null
}

/**
 * Rebuilds a training set from its manifest alone, by the same definitions and from the same rows, and compares the
 * two. Writes no file.
 *
 * @param find gives the service of that id, or throws why there is none
 * @throws LockstepError if it cannot be verified, as when a database cannot be reached; and the signal's reason
 */
export async function verifyDataset(
  db: Database,
  manifest: DatasetManifest,
  find: (service: string) => ServicePlan,
  options: BuildOptions,
): Promise<DatasetVerdict> {
  const files: FoundFile[] = []
  for (const file of filesOf(manifest)) files.push(await findFile(file, options.signal))
  const { rebuilt, differences } = await rebuild(db, manifest, find, options)
  const all = [...filesOf(manifest).flatMap((file, i) => fileDifference(file, files[i] as FoundFile)), ...differences]
  return { id: manifest.id, equal: all.length === 0, files, rebuilt, order: manifest.spine.order, differences: all }
}

/** Failures that mean a changed spine or source. Others say nothing about the training set. */
const lost: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'NOT_REPRODUCIBLE',
  'SPINE_INVALID',
  'FILE_UNREADABLE',
  'FILE_CHANGED',
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
  const unmakeable = (error: LockstepError) => ({ rebuilt: null, differences: [`It cannot be recreated: ${error.message}`] })
  let service: ServicePlan
  try {
    service = find(manifest.service.id)
  } catch (error) {
    if (error instanceof LockstepError) return unmakeable(error)
    throw error
  }
  const redefined = definitionDifferences(manifest, service)
  if (redefined.length > 0) return { rebuilt: null, differences: redefined }
  if (manifest.engine?.name === 'external') return { rebuilt: null, differences: [] }
  try {
    const recipe = recipeOfManifest(manifest)
    const digest = (_part: unknown, columns: Parameters<typeof createDatasetDigest>[0]) => createDatasetDigest(columns, recipe.format)
    const built = await withEngineOf(db, manifest, options.signal, (engine) => buildDataset(engine, service, recipe, digest, options))
    const content = contentDifferences(service, manifest, built)
    const { files: read = [] } = manifest.source
    const replaced = content.length === 0 || read.length === 0 ? [] : filesDifference(read, built.join.files)
    return {
      rebuilt: built.files.map(({ rows, bytes, sha256 }) => ({ rows, bytes, sha256 })),
      differences: [...content, ...replaced],
    }
  } catch (error) {
    options.signal?.throwIfAborted()
    if (!(error instanceof LockstepError) || !lost.has(error.code)) throw error
    return unmakeable(error)
  }
}

function definitionDifferences(manifest: DatasetManifest, service: ServicePlan): string[] {
  const now = new Map(viewsOf(service).map((view) => [view.id, view]))
  const views = manifest.views.flatMap(({ id, fingerprint, code }) => {
    const view = now.get(id)
    if (view?.fingerprint === fingerprint && view.code === code) return []
    return [`The view "${id}" has changed since: its fingerprint is ${view?.fingerprint ?? 'none'}, not ${fingerprint}.`]
  })
  if (views.length > 0 || service.fingerprint === manifest.service.fingerprint) return views
  return [`The service "${service.id}" has changed since: its fingerprint is ${service.fingerprint}, not ${manifest.service.fingerprint}.`]
}

function contentDifferences(service: ServicePlan, manifest: DatasetManifest, built: BuiltDataset<WrittenFile>): string[] {
  const { spine } = manifest
  const pairs = filesOf(manifest).flatMap((was, i) => {
    const now = built.files[i]
    return now === undefined || now.sha256 === was.sha256 ? [] : [{ was, now }]
  })
  if (pairs.length === 0) return []
  const differs = pairs.map(
    ({ was, now }) => `The recreated "${was.path}" has the SHA-256 ${now.sha256} (${now.rows} rows), not ${was.sha256} (${was.rows} rows).`,
  )
  if (built.spine.sha256 !== spine.sha256) return [...differs, spineDifference(spine, built.spine)]
  const columns = [...pairs, ...wholes(manifest, built)].flatMap((pair) => differingColumns(pair.was.statistics, pair.now.statistics))
  return [...differs, ...sourceDifferences(service, manifest, built.join, [...new Set(columns)])]
}

/**
 * Which sources have other rows, if the spine has the same rows: a sentence each.
 *
 * @param columns those whose statistics differ
 */
export function sourceDifferences(
  service: ServicePlan,
  manifest: Pick<DatasetManifest, 'engine'>,
  { heldBackRows }: Pick<BuiltDataset<WrittenFile>['join'], 'heldBackRows'>,
  columns: readonly string[],
): string[] {
  const where = columns.length === 0 ? [] : [`The statistics of ${quotedNames(columns)} differ.`]
  if (manifest.engine !== undefined) return where
  const { sources, isSure } = sourcesBehind(service, columns)
  const isFrozen = (source: string): boolean => Object.hasOwn(heldBackRows, source)
  const [frozen, unfrozen] = [sources.filter(isFrozen), sources.filter((source) => !isFrozen(source))]
  const lacking = 'Without a column "_xid", Lockstep cannot separate the original rows from later ones.'
  if (unfrozen.length > 0) where.push(`Rows of ${quotedNames(unfrozen)} have changed. ${lacking}`)
  // rows of the others may explain all of the difference
  if (frozen.length === 0 || (unfrozen.length > 0 && !isSure)) return where
  return [...where, `The spine is the same, so rows of ${quotedNames(frozen)} that the training set was made of were changed or deleted.`]
}

/**
 * The sources of the features in these columns. Those of on-demand views are left out if others say enough. Not sure:
 * no feature of a view is named.
 */
function sourcesBehind(service: ServicePlan, columns: readonly string[]): { readonly sources: string[]; readonly isSure: boolean } {
  const uses = service.features.filter(({ name, use }) => use !== null && columns.includes(name)).map(({ use }) => use)
  const isSure = uses.length > 0
  const plans = service.uses.filter((_, use) => !isSure || uses.includes(use)).map(({ plan }) => plan)
  return { sources: [...new Set(plans.map(({ spec }) => spec.source.name))], isSure }
}

export function spineDifference(was: DatasetManifest['spine'], now: BuiltDataset<WrittenFile>['spine']): string {
  const hashes = `its SHA-256 is ${now.sha256} (${now.rows} rows), not ${was.sha256} (${was.rows} rows)`
  if (was.rows !== now.rows || was.rowsHash !== now.rowsHash) return `The spine has other rows: ${hashes}.`
  const why = 'sql' in was.from ? 'make the ORDER BY unique, for example by adding a unique column' : 'their source has a new order'
  return `The spine has the same rows in another order: ${hashes}; ${why}.`
}

/** The statistics of all rows of a set in numbered parts, then and now. */
function wholes({ statistics: was }: DatasetManifest, { statistics: now }: Pick<BuiltDataset<WrittenFile>, 'statistics'>) {
  return was === null || now === null ? [] : [{ was: { statistics: was }, now: { statistics: now } }]
}

function fileDifference({ path, sha256 }: DatasetFile, found: FoundFile): string[] {
  if (found.state === 'same') return []
  if (found.state === 'gone') return [`The file "${path}" does not exist any more.`]
  return [`The file "${path}" was changed: its SHA-256 is ${found.sha256}, not ${sha256}.`]
}

async function findFile({ path, sha256: expected }: DatasetFile, signal: AbortSignal | undefined): Promise<FoundFile> {
  const sha256 = await hashFile(path, signal)
  return { path, state: sha256 === null ? 'gone' : sha256 === expected ? 'same' : 'altered', sha256 }
}
