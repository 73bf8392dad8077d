import { join } from 'node:path'
import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import { formatTimestamp, parseTimestamp } from '../../kernel/values/time.ts'
import type { Column, ValueType } from '../../kernel/values/value-type.ts'
import { typeName } from '../../kernel/values/value-type.ts'
import type { TimeRule } from '../../kernel/view-plan.ts'
import type { BuiltDataset } from './build-dataset.ts'
import type { PartName, SpineRange } from './dataset-parts.ts'
import { partOfRange, partsByTime } from './dataset-parts.ts'
import type { DatasetRecipe } from './dataset-recipe.ts'
import type { SourceFiles } from '../duckdb/source-files.ts'
import type { DatasetFormat, WrittenFile } from '../files/dataset-writer.ts'
import { isStoredObject } from '../../runtime/storage/object-store.ts'
import { openSink } from '../../runtime/files/open-sink.ts'
import type { SealedFile } from '../../runtime/files/place-files.ts'
import type { ReadFiles } from '../source-files/stored-files.ts'
import type { SpineOrder } from '../spine/query-order.ts'
import type { SpineSample } from '../spine/sample-spine.ts'
import type { SpineInput } from '../spine/spine.ts'
import type { ColumnStatistics } from '../profile/column-statistics.ts'

/**
 * The definitions, rows and rules that a training set was made from, and the hashes that verify it. Stored beside it as
 * `<file>.manifest.json`, and in the registry.
 */
export interface DatasetManifest {
  readonly id: string
  /** RFC 3339. */
  readonly createdAt: string
  /**
   * The absolute path of `--out`: the file, or the folder of a set in numbered parts. The files of a split set are
   * beside it: `set.train.parquet`.
   */
  readonly path: string
  readonly service: { readonly id: string; readonly fingerprint: string }
  readonly views: readonly { readonly id: string; readonly fingerprint: string; readonly code: string | null }[]
  readonly spine: {
    /** A file, a query, or the rows of a view's source that become visible in [from, to). */
    readonly from:
      | { readonly file: string }
      | { readonly sql: string }
      | { readonly rowsOf: string; readonly from: string; readonly to: string }
    readonly time: string
    /** Which share of the rows was taken; null: all. What follows is of these. */
    readonly sample: SpineSample | null
    readonly rows: number
    readonly nullKeyRows: number
    /** `values`: a query without ORDER BY, whose rows are ordered by time and then by their other values. */
    readonly order: SpineOrder
    /** SHA-256 over the typed values of its rows, in order. */
    readonly sha256: string
    /** A hash over its rows in any order. */
    readonly rowsHash: string
  }
  readonly rule: TimeRule & {
    readonly asOf: 'at' | 'before'
    /** RFC 3339: no row of a source was seen that was known, else happened, at it or after it; null: no such bound. */
    readonly knownBefore: string | null
  }
  readonly source: {
    /**
     * For a table with arrival columns, every row written by a transaction below it was read, and no other: reading it
     * so again gives the same rows.
     */
    readonly xmin: number
    /**
     * Committed rows of transactions from `xmin` on, which were not read, by source. A source without arrival columns
     * is not in it.
     */
    readonly heldBackRows: Readonly<Record<string, number>>
    /** Rows with a NULL in their key, by source. */
    readonly droppedRows: Readonly<Record<string, number>>
    /** The Parquet files behind the rows of sources that such files feed. Absent: there are none. */
    readonly files?: readonly ReadFiles[]
  }
  /** A sentence for each source of which the spine may have rows: possible label leaks that only the user can judge. */
  readonly unchecked: readonly string[]
  /** How many rows of the spine lack a feature that serving requires, by feature. */
  readonly missingRequired: Readonly<Record<string, number>>
  /** How many rows of the spine lack any of them, and whether these rows were left out. */
  readonly incomplete: { readonly rows: number; readonly dropped: boolean }
  readonly columns: readonly { readonly name: string; readonly type: string; readonly from: 'spine' | 'feature' | 'model' }[]
  /** Where the set was split by time, RFC 3339, ascending. */
  readonly split: readonly string[]
  /** The file; of a split set, the part `train`; of numbered parts, the first. */
  readonly file: DatasetFile
  /** The other parts. */
  readonly otherFiles: readonly DatasetFile[]
  /** The statistics of all rows of a set in numbered parts, by column; null for others: each file has its own. */
  readonly statistics: readonly ColumnStatistics[] | null
  /**
   * The engine that sorted the rows, and the files of its sources. Absent: the database; then `source` says which rows
   * it read. `external`: another program, by a plan; which rows it read is not known.
   */
  readonly engine?: { readonly name: 'duckdb' | 'external'; readonly sources: readonly SourceFiles[] }
}

export interface DatasetFile {
  readonly path: string
  /** Which part of a split set it holds; null: all. */
  readonly part: PartName | null
  /** Which rows of the spine a numbered part holds; null: any. */
  readonly range: SpineRange | null
  readonly format: DatasetFormat
  readonly rows: number
  readonly bytes: number
  readonly sha256: string
  /** By column, in order: what later data are held against. A numbered part has none of its own. */
  readonly statistics: readonly ColumnStatistics[]
}

export function filesOf({ file, otherFiles }: DatasetManifest): readonly DatasetFile[] {
  return [file, ...otherFiles]
}

export function manifestPath(path: string): string {
  return `${path}.manifest.json`
}

/** Where the manifest stands: beside the file, or in the folder of numbered parts. */
export function pathOfManifest({ path, file }: Pick<DatasetManifest, 'path' | 'file'>): string {
  return isRange(file) ? within(path, 'manifest.json') : manifestPath(path)
}

/** A file of a folder, which may be a URL of object storage. */
export function within(folder: string, name: string): string {
  return isStoredObject(folder) ? `${folder}/${name}` : join(folder, name)
}

/** By column; of a split set those of `train`, as a model is made of it. */
export function statisticsOf({ statistics, file }: DatasetManifest): readonly ColumnStatistics[] {
  return statistics ?? file.statistics
}

function isRange(file: DatasetFile): file is DatasetFile & { readonly range: SpineRange } {
  return file.range !== null
}

/** The manifest of what was built. */
export function manifestOf(
  identity: Pick<DatasetManifest, 'id' | 'createdAt' | 'path'>,
  service: ServicePlan,
  recipe: DatasetRecipe,
  built: Omit<BuiltDataset<WrittenFile & { readonly path: string }>, 'profile'>,
  unchecked: readonly string[],
): DatasetManifest {
  const [file, ...otherFiles] = built.files.map(({ path, part, range, rows, bytes, sha256, statistics }): DatasetFile => ({
    path,
    part,
    range,
    format: recipe.format,
    rows,
    bytes,
    sha256,
    statistics,
  }))
  if (file === undefined) throw new LockstepError('INTERNAL', 'A training set has no file.')
  const { xmin, droppedRows, heldBackRows, files } = built.join
  return {
    ...identity,
    service: { id: service.id, fingerprint: service.fingerprint },
    views: viewsOf(service),
    spine: { from: spineFrom(recipe.spine), sample: recipe.sample, order: recipe.order, ...built.spine },
    rule: { ...recipe.rule, asOf: recipe.asOf, knownBefore: recipe.knownBefore === null ? null : formatTimestamp(recipe.knownBefore) },
    source: { xmin, droppedRows, heldBackRows, ...(files.length === 0 ? {} : { files }) },
    unchecked,
    missingRequired: built.missing.byFeature(),
    incomplete: { rows: built.missing.rows(), dropped: recipe.dropIncomplete },
    columns: columnsOf(built.columns.spine, built.columns.features),
    split: recipe.parts.slice(1).flatMap(({ from, range }) => (range === null ? [formatTimestamp(from)] : [])),
    file,
    otherFiles,
    statistics: built.statistics,
  }
}

function spineFrom(input: SpineInput): DatasetManifest['spine']['from'] {
  return 'rowsOf' in input ? { ...input, from: formatTimestamp(input.from), to: formatTimestamp(input.to) } : input
}

/** The recipe that rebuilds the training set of a manifest from the same rows. */
export function recipeOfManifest(manifest: DatasetManifest): DatasetRecipe {
  const { spine, rule, source, incomplete, columns, split, file } = manifest
  const ranges = filesOf(manifest).filter(isRange)
  return {
    spine:
      'rowsOf' in spine.from ? { ...spine.from, from: parseTimestamp(spine.from.from), to: parseTimestamp(spine.from.to) } : spine.from,
    order: spine.order,
    time: spine.time,
    sample: spine.sample,
    rule: { knowledge: rule.knowledge, freshness: rule.freshness },
    asOf: rule.asOf,
    knownBefore: rule.knownBefore === null ? null : parseTimestamp(rule.knownBefore),
    arrivedBefore: source.xmin,
    columns: columns.flatMap(({ name, from }) => (from === 'spine' ? [name] : [])),
    dropIncomplete: incomplete.dropped,
    parts: ranges.length > 0 ? ranges.map(({ range }) => partOfRange(range)) : partsByTime(split.map(parseTimestamp)),
    format: file.format,
  }
}

export function viewsOf(service: ServicePlan): DatasetManifest['views'] {
  const views = new Map(service.uses.map(({ plan }) => [plan.id, { id: plan.id, fingerprint: plan.fingerprint, code: plan.spec.code }]))
  return [...views.values()]
}

function columnsOf(spine: readonly Column[], features: readonly Column<ValueType>[]): DatasetManifest['columns'] {
  const named = (columns: readonly Column<ValueType>[], from: 'spine' | 'feature'): DatasetManifest['columns'] =>
    columns.map(({ name, type }) => ({ name, type: typeName(type), from }))
  return [...named(spine, 'spine'), ...named(features, 'feature')]
}

/**
 * Writes the manifest under a temporary name, or as an object without a name; `placeFiles` gives it its own.
 *
 * @throws LockstepError `WRITE_FAILED` naming the path
 */
export async function sealManifest(manifest: DatasetManifest, overwrite: boolean): Promise<SealedFile & { abort(): Promise<void> }> {
  const sink = await openSink(pathOfManifest(manifest), overwrite)
  await sink.write(Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`))
  return { ...(await sink.seal()), abort: sink.abort }
}
