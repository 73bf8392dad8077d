import { randomUUID } from 'node:crypto'
import { pathToFileURL } from 'node:url'
import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import { Status } from '../../kernel/states/state.ts'
import type { Column, Value, ValueType } from '../../kernel/values/value-type.ts'
import { isValueOf, typeName } from '../../kernel/values/value-type.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { absoluteName, isStoredObject } from '../../runtime/storage/object-store.ts'
import { openObjectStore } from '../../runtime/storage/open-store.ts'
import type { BuiltFile } from './build-dataset.ts'
import { publish } from './dataset.ts'
import type { DatasetManifest } from './dataset-manifest.ts'
import { manifestOf, manifestPath } from './dataset-manifest.ts'
import { partsByTime } from './dataset-parts.ts'
import type { WrittenFile } from '../files/dataset-writer.ts'
import { hashFile } from '../files/hash-file.ts'
import type { FileColumn, TabularFile } from '../files/tabular-file.ts'
import { openTabularFile } from '../files/tabular-file.ts'
import { uncheckedLeaks } from './label-leak.ts'
import { countMissingRequired } from './missing-required.ts'
import type { PartitionOptions } from '../partition/fold-partition.ts'
import { collectStatistics } from '../profile/column-statistics.ts'
import { refuseExisting } from '../../runtime/files/refuse-existing.ts'
import { createSpineHash } from '../spine/spine-hash.ts'
import { createTrainingProfiler } from './training-profile.ts'

export interface RegisterOptions {
  /** The folder of the Parquet files, or its URL. */
  readonly folder: string
  /** The spine's time column. */
  readonly time: string
  /** The rule of the plan that the engine used. */
  readonly rule: PartitionOptions
  /** The outputs of the plan's model; empty: the plan has no model. */
  readonly outputs: readonly Column[]
  readonly overwrite?: boolean
  readonly signal?: AbortSignal | undefined
}

/**
 * Records a training set that another engine has written by a plan of the service: its files with their hashes,
 * statistics of all columns and a baseline, as of a set that Lockstep has written. The manifest is written beside the
 * folder.
 *
 * @throws LockstepError `FILE_UNREADABLE` for a folder that is not complete, `COLUMNS_MISMATCH`, `INVALID_ROW`,
 *   `FILE_EXISTS`
 */
export async function registerDataset(
  db: Database,
  service: ServicePlan,
  { folder, time, rule: seen, outputs, overwrite = false, signal }: RegisterOptions,
): Promise<DatasetManifest> {
  const path = absoluteName(folder).replace(/\/+$/, '')
  if (!overwrite) await refuseExisting([manifestPath(path)])
  const files = await parquetFilesOf(path)
  // one after the other: an open file of object storage keeps its footer in memory
  const first = await openTabularFile((files as [(typeof files)[number]])[0].path)
  const { columns, unread } = columnsOfFiles(service, outputs, first, time)
  const all = [...columns.spine, ...columns.features, ...outputs]
  const predicted = columns.spine.length + columns.features.length
  const names = all.filter(({ name }) => !unread.has(name)).map(({ name }) => name)

  const hash = createSpineHash({ columns: columns.spine })
  const missing = countMissingRequired(service)
  const statistics = collectStatistics(all)
  const profiler = createTrainingProfiler(service, columns.spine)
  const keys = [...new Set(service.uses.flatMap(({ key }) => key))]
  const required = service.required.map((feature) => ({ feature, at: service.features.findIndex(({ name }) => name === feature) }))
  const written: BuiltFile<WrittenFile & { readonly path: string }>[] = []
  let nullKeyRows = 0
  for (const [number, { path: name, bytes }] of files.entries()) {
    const opened = number === 0 ? first : await openTabularFile(name)
    let rows = 0
    for await (const batch of opened.batches(names)) {
      signal?.throwIfAborted()
      const read = new Map(names.map((column, i) => [column, batch.columns[i]]))
      const values = all.map(({ name: column, type }) =>
        Array.from({ length: batch.rows }, (_, row) =>
          valueOf(type, read.get(column)?.[row], () => `row ${batch.firstRow + row} of "${name}"`, column),
        ),
      )
      const [ofSpine, ofFeatures] = [values.slice(0, columns.spine.length), values.slice(columns.spine.length, predicted)]
      const lacks = (row: number): string[] => required.filter(({ at }) => ofFeatures[at]?.[row] === null).map(({ feature }) => feature)
      const keyColumns = keys.map((key) => columns.spine.findIndex((column) => column.name === key))
      for (let row = 0; row < batch.rows; row++) if (keyColumns.some((at) => ofSpine[at]?.[row] === null)) nullKeyRows++
      hash.update(batch.rows, ofSpine)
      missing.update(Array.from({ length: batch.rows }, (_, row) => lacks(row)))
      statistics.update(values)
      // the files do not say why a value is missing
      const statuses = ofFeatures.map((column) => column.map((value) => (value === null ? Status.nullValue : Status.present)))
      profiler.update({ values: ofFeatures, statuses, spine: ofSpine, length: batch.rows }, null)
      rows += batch.rows
    }
    const sha256 = await hashFile(name, signal)
    if (sha256 === null) throw new LockstepError('FILE_CHANGED', `The file "${name}" was removed while it was read. Run the command again.`)
    written.push({ path: name, rows, bytes, sha256, part: null, range: null, statistics: [] })
  }

  // nothing is known of these
  const result = statistics.result().map((each) => (unread.has(each.column) ? { column: each.column, count: 0, nulls: 0 } : each))
  const built = {
    spine: { time, rows: written.reduce((sum, file) => sum + file.rows, 0), nullKeyRows, ...hash.digest() },
    join: { rows: 0, xmin: 0, droppedRows: {}, heldBackRows: {}, files: [] },
    missing,
    columns,
    statistics: result,
    files: written,
  }
  const recipe = {
    spine: { file: path },
    order: 'given',
    time,
    sample: null,
    rule: { knowledge: seen.rule.knowledge, freshness: seen.rule.freshness },
    asOf: seen.bound,
    knownBefore: seen.knownBefore,
    arrivedBefore: 0,
    columns: null,
    dropIncomplete: false,
    parts: partsByTime([]),
    format: 'parquet',
  } as const
  const unchecked = [
    ...uncheckedLeaks(service, recipe),
    ...[...unread].map(
      (column) =>
        `The values of "${column}" were not read, because Lockstep does not read lists and counts from Parquet files. So the set has no baseline.`,
    ),
  ]
  const identity = { id: randomUUID(), createdAt: new Date().toISOString(), path }
  const made = manifestOf(identity, service, recipe, built, unchecked)
  const manifest: DatasetManifest = {
    ...made,
    columns: [...made.columns, ...outputs.map(({ name, type }) => ({ name, type: typeName(type), from: 'model' as const }))],
    engine: { name: 'external', sources: [] },
  }
  await publish(db, manifest, { files: [], profile: unread.size > 0 ? null : profiler.result(result) }, overwrite)
  return manifest
}

/** @throws LockstepError `FILE_UNREADABLE` where the folder has no Parquet file, or is not complete */
async function parquetFilesOf(folder: string): Promise<{ readonly path: string; readonly bytes: number }[]> {
  const url = isStoredObject(folder) ? folder : pathToFileURL(folder).href
  const store = await openObjectStore(url)
  const found: { readonly path: string; readonly bytes: number }[] = []
  for await (const object of store.list(`${url}/`)) {
    const name = object.url.slice(url.length + 1)
    if (name.endsWith('.parquet') && !/(^|\/)[_.]/.test(name)) found.push({ path: absoluteName(object.url), bytes: object.bytes })
  }
  const unreadable = (why: string): LockstepError =>
    new LockstepError('FILE_UNREADABLE', `The folder "${folder}" cannot be registered: ${why}`, { details: { folder } })
  if (found.length === 0) throw unreadable('it has no Parquet file. Check the name.')
  if ((await store.head(`${url}/_SUCCESS`)) === null)
    throw unreadable('it has no file "_SUCCESS", so its rows may not be complete. Wait until the engine has written it, or create it.')
  return found
}

/**
 * The columns of the files: those of the spine as they are, and the features as the service has them.
 *
 * @throws LockstepError `COLUMNS_MISMATCH`
 */
function columnsOfFiles(
  service: ServicePlan,
  outputs: readonly Column[],
  file: TabularFile,
  time: string,
): { readonly columns: { readonly spine: Column[]; readonly features: Column<ValueType>[] }; readonly unread: ReadonlySet<string> } {
  const byName = new Map(file.columns.map((column) => [column.name, column]))
  const features = service.features.map(({ name, type }) => ({ name, type }))
  const made = [...features, ...outputs]
  const lost = [...new Set([time, ...service.uses.flatMap(({ key }) => key), ...made.map(({ name }) => name)])].filter(
    (name) => !byName.has(name),
  )
  if (lost.length > 0) {
    throw new LockstepError(
      'COLUMNS_MISMATCH',
      `The file "${file.path}" lacks ${quotedNames(lost)}, which a training set of "${service.id}" has. Check the plan and the options.`,
      { details: { path: file.path, missing: lost } },
    )
  }
  const ofTime = byName.get(time) as FileColumn
  if (ofTime.type?.kind !== 'timestamp') {
    throw new LockstepError(
      'COLUMNS_MISMATCH',
      `The time column "${time}" of "${file.path}" is ${ofTime.described}, not a timestamp. Name another column, or write it as a timestamp.`,
      { details: { path: file.path, column: time } },
    )
  }
  const unread = new Set<string>()
  for (const { name, type } of made) {
    const found = byName.get(name) as FileColumn
    if (type.kind === 'list' || type.kind === 'counts') unread.add(name)
    else if (found.type?.kind !== type.kind && !(found.type === null && type.kind === 'vector'))
      throw new LockstepError(
        'COLUMNS_MISMATCH',
        `The file "${file.path}" has ${found.described} in "${name}", but the plan makes ${typeName(type)}. Check the plan.`,
        { details: { path: file.path, column: name } },
      )
  }
  const own = new Set(made.map(({ name }) => name))
  // a column of another type can be in the spine, but says nothing here
  const spine = file.columns.flatMap(({ name, type }) => (own.has(name) || type === null ? [] : [{ name, type }]))
  return { columns: { spine, features }, unread }
}

function valueOf(type: ValueType, raw: unknown, place: () => string, column: string): Value | null {
  if (raw === null || raw === undefined) return null
  const value = converted(type, raw)
  if (isValueOf(type, value)) return value
  throw new LockstepError('INVALID_ROW', `The column "${column}" in ${place()} is not of the type ${typeName(type)}.`)
}

function converted(type: ValueType, raw: unknown): unknown {
  if (type.kind === 'int64') return typeof raw === 'number' || typeof raw === 'bigint' ? BigInt(raw) : raw
  // decimals are text
  if (type.kind === 'float64' && typeof raw === 'string') return Number(raw)
  if (type.kind === 'vector') return Array.isArray(raw) ? Float32Array.from(raw) : raw
  return raw
}
