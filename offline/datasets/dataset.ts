import { randomUUID } from 'node:crypto'
import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import type { TimeRule } from '../../kernel/view-plan.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { absoluteName } from '../../runtime/storage/object-store.ts'
import type { BuildOptions } from './build-dataset.ts'
import { buildDataset } from './build-dataset.ts'
import type { DatasetManifest } from './dataset-manifest.ts'
import { manifestOf, manifestPath, sealManifest } from './dataset-manifest.ts'
import { partPath, partsByTime } from './dataset-parts.ts'
import type { DatasetRecipe } from './dataset-recipe.ts'
import type { DatasetFormat } from '../files/dataset-writer.ts'
import { createDatasetWriter, formatOf } from '../files/dataset-writer.ts'
import type { SealedFile } from '../../runtime/files/place-files.ts'
import { placeFiles } from '../../runtime/files/place-files.ts'
import { refuseExisting } from '../../runtime/files/refuse-existing.ts'
import type { FileEngine } from '../join-engine.ts'
import { postgresEngine } from '../join-engine.ts'
import { confirmLeaks, refuseLabelLeak, uncheckedLeaks } from './label-leak.ts'
import { naturalOrder } from '../spine/open-spine.ts'
import type { SpineSample } from '../spine/sample-spine.ts'
import type { SpineInput } from '../spine/spine.ts'
import { storeTrainingBaseline } from './training-baseline.ts'
import type { TrainingProfile } from './training-profile.ts'

export interface DatasetOptions extends Omit<BuildOptions, 'profile'> {
  /** The id and time of a set that may be written again, in its own place. Absent: a new set. */
  readonly identity?: Pick<DatasetManifest, 'id' | 'createdAt'>
  readonly spine: SpineInput
  /** The path of the file to write. The parts of a split set get names beside it: `set.train.parquet`. */
  readonly out: string
  /** Absent: by the extension of the path: .parquet, .csv or .jsonl. */
  readonly format?: DatasetFormat
  /** The spine's time column, where it is not the only one of its type. */
  readonly time?: string
  /** The share of the spine's rows, chosen by their values. Absent: all. */
  readonly sample?: Omit<SpineSample, 'by'>
  /**
   * Epoch microseconds: one moment splits the rows into `train` and `test`, two into `train`, `validation` and `test`.
   * Absent: one file.
   */
  readonly split?: readonly number[]
  readonly knowledge?: TimeRule['knowledge']
  readonly freshness?: TimeRule['freshness']
  readonly asOf?: 'at' | 'before'
  /**
   * Epoch microseconds: source rows that were known (or, without a known time, happened) at it or later are not read,
   * with any rule. Absent: all are.
   */
  readonly knownBefore?: number
  /**
   * `source.xmin` of an earlier manifest: from tables with arrival columns, no rows are read that arrived since.
   * Absent: all settled rows are read.
   */
  readonly arrivedBefore?: number
  /** The spine's columns to carry over. Absent: all. */
  readonly columns?: readonly string[]
  /** Leave out rows without a required feature, which a server would refuse. Absent: they stay, with null. */
  readonly dropIncomplete?: boolean
  readonly overwrite?: boolean
  /** Throws if the set is not what its caller needs. Then it is neither recorded nor written. */
  readonly check?: (manifest: DatasetManifest) => void
  /** Absent: the database. */
  readonly engine?: FileEngine
}

/**
 * Writes a training set: the spine's columns, then the service's features as of each row's moment. A manifest, beside
 * the file and in the registry, describes how it was made. After an error nothing has changed. After a kill no file has
 * the manifest of another one.
 *
 * @throws LockstepError `USAGE`, `INVALID_TIME`, `LABEL_LEAK`, `SPINE_INVALID`, `FILE_EXISTS`, `WRITE_FAILED`, and what
 *   `openSpine` and `joinSpine` throw
 */
export async function createDataset(db: Database, service: ServicePlan, options: DatasetOptions): Promise<DatasetManifest> {
  const recipe = recipeOf(options)
  const { format, parts } = recipe
  const out = absoluteName(options.out)
  const overwrite = options.overwrite ?? false
  if (!overwrite) await refuseExisting([...parts.map((part) => partPath(out, part)), manifestPath(out)])
  const engine = options.engine ?? null
  const suspected = engine === null ? await refuseLabelLeak(db, service, recipe.spine, recipe) : []
  let unchecked = engine === null ? [] : uncheckedLeaks(service, recipe)
  const built = await buildDataset(
    engine ?? postgresEngine(db),
    service,
    recipe,
    (part, columns) => createDatasetWriter(partPath(out, part), columns, { format, overwrite }),
    {
      ...options,
      profile: {},
      onSpine: async (spine) => {
        if (engine === null) unchecked = await confirmLeaks(db, service, spine, suspected)
      },
    },
  )
  try {
    const identity = { id: randomUUID(), createdAt: new Date().toISOString(), ...options.identity, path: out }
    const pinned = engine === null ? {} : { engine: { name: engine.name, sources: await engine.pinned(options.signal) } }
    const manifest = { ...manifestOf(identity, service, recipe, built, unchecked), ...pinned }
    options.check?.(manifest)
    await publish(db, manifest, built, overwrite)
    return manifest
  } catch (error) {
    for (const file of built.files) await file.abort()
    throw error
  }
}

/** @throws LockstepError `USAGE`, `INVALID_TIME` */
export function recipeOf(options: DatasetOptions): DatasetRecipe {
  const { sample } = options
  return {
    // so that it is found again from another folder
    spine: 'file' in options.spine ? { file: absoluteName(options.spine.file) } : options.spine,
    order: naturalOrder(options.spine),
    time: options.time ?? null,
    sample: sample ?? null,
    rule: { knowledge: options.knowledge ?? 'bitemporal', freshness: options.freshness ?? 'served' },
    asOf: options.asOf ?? 'at',
    knownBefore: pastCutOff(options.knownBefore),
    arrivedBefore: options.arrivedBefore ?? null,
    columns: options.columns ?? null,
    dropIncomplete: options.dropIncomplete ?? false,
    parts: partsByTime(options.split ?? []),
    format: options.format ?? formatOf(options.out),
  }
}

function pastCutOff(knownBefore: number | undefined): number | null {
  if (knownBefore === undefined) return null
  if (knownBefore <= Date.now() * 1000) return knownBefore
  throw new LockstepError(
    'INVALID_TIME',
    `The moment "${formatTimestamp(knownBefore)}" is in the future, so more rows may become known before it. Give a moment in the past.`,
  )
}

/**
 * All files are complete on the disk and recorded in the registry before they get their names. If that fails, the
 * record is removed.
 */
export async function publish(
  db: Database,
  manifest: DatasetManifest,
  { files, profile }: { readonly files: readonly SealedFile[]; readonly profile: TrainingProfile | null },
  overwrite: boolean,
): Promise<void> {
  const beside = await sealManifest(manifest, overwrite)
  try {
    await db.kysely.transaction().execute(async (transaction) => {
      await transaction.deleteFrom('lockstep.datasets').where('id', '=', manifest.id).execute()
      await transaction
        .insertInto('lockstep.datasets')
        .values({
          id: manifest.id,
          service: manifest.service.id,
          fingerprint: manifest.service.fingerprint,
          path: manifest.path,
          manifest: JSON.stringify(manifest),
        })
        .execute()
      if (profile !== null) await storeTrainingBaseline(transaction, manifest.id, profile)
    })
    try {
      await placeFiles([beside, ...files], overwrite)
    } catch (error) {
      await db.kysely.deleteFrom('lockstep.datasets').where('id', '=', manifest.id).execute()
      throw error
    }
  } catch (error) {
    await beside.abort()
    throw error
  }
}
