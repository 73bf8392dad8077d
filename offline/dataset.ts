import { createHash, randomUUID } from 'node:crypto'
import { ByteWriter } from '../kernel/binary.ts'
import { LockstepError } from '../kernel/errors.ts'
import type { ServicePlan } from '../kernel/service-plan.ts'
import { valueCodec } from '../kernel/value-codec.ts'
import type { Column } from '../kernel/value-type.ts'
import type { TimeRule } from '../kernel/view-plan.ts'
import type { Database } from '../runtime/database.ts'
import type { DatasetManifest } from './dataset-manifest.ts'
import { columnsOf, manifestPath, sealManifest, viewsOf } from './dataset-manifest.ts'
import type { DatasetFormat } from './files/dataset-writer.ts'
import { createDatasetWriter, formatOf } from './files/dataset-writer.ts'
import type { SealedFile } from './files/place-files.ts'
import { placeFiles, refuseExisting } from './files/place-files.ts'
import type { JoinedBatch, JoinProgress } from './join.ts'
import { joinSpine } from './join.ts'
import { refuseLabelLeak } from './label-leak.ts'
import { openSpine } from './spine/open-spine.ts'
import type { Spine, SpineInput } from './spine/spine.ts'

export interface DatasetOptions {
  readonly spine: SpineInput
  /** Path of the file to write. */
  readonly out: string
  /** Absent: by the ending of the path, .parquet or .csv. */
  readonly format?: DatasetFormat
  /** The spine's time column, where it is not the only one of its type. */
  readonly time?: string
  readonly knowledge?: TimeRule['knowledge']
  readonly freshness?: TimeRule['freshness']
  readonly asOf?: 'at' | 'before'
  /** The spine's columns to carry over. Absent: all. */
  readonly columns?: readonly string[]
  readonly overwrite?: boolean
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: JoinProgress) => void
}

/**
 * Writes a training set: the spine's columns, then the service's features as of each row's moment. The manifest beside the file and in the registry says
 * what went into it. After an error nothing has changed; after a kill no file stands there with a manifest that is not its own.
 *
 * @throws LockstepError `USAGE`, `LABEL_LEAK`, `SPINE_INVALID`, `FILE_EXISTS`, `WRITE_FAILED` and whatever `openSpine` and `joinSpine` throw
 */
export async function createDataset(db: Database, service: ServicePlan, options: DatasetOptions): Promise<DatasetManifest> {
  const rule: TimeRule = { knowledge: options.knowledge ?? 'bitemporal', freshness: options.freshness ?? 'served' }
  const bound = options.asOf ?? 'at'
  const format = options.format ?? formatOf(options.out)
  const overwrite = options.overwrite ?? false
  if (!overwrite) await refuseExisting([options.out, manifestPath(options.out)])
  if ('sql' in options.spine && bound === 'at') await refuseLabelLeak(db, service, options.spine.sql, rule)
  const given = options.signal === undefined ? {} : { signal: options.signal }
  const spine = await openSpine(db, service, options.spine, { ...given, ...(options.time === undefined ? {} : { time: options.time }) })
  try {
    const carried = carriedColumns(spine, options.columns)
    const features = service.features.map(({ name, type }): Column => ({ name, type }))
    const kept = carried.map((slot) => spine.columns[slot] as Column)
    const writer = await createDatasetWriter(options.out, [...kept, ...features], { format, overwrite })
    try {
      const hash = spineHash(spine)
      const missing = requiredCounts(service)
      const joining = { rule, bound, ...given, ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }) }
      const summary = await joinSpine(db, service, spine, joining, async (batch) => {
        hash.update(batch)
        missing.update(batch)
        await writer.write([...carried.map((slot) => batch.spine[slot] as JoinedBatch['spine'][number]), ...batch.values])
      })
      const sealed = await writer.seal()
      const { rows, bytes, sha256 } = sealed
      const manifest: DatasetManifest = {
        id: randomUUID(),
        createdAt: new Date().toISOString(),
        service: { id: service.id, fingerprint: service.fingerprint },
        views: viewsOf(service),
        spine: { from: options.spine, time: spine.time, rows: spine.rows, nullKeyRows: spine.nullKeyRows, sha256: hash.digest() },
        rule: { ...rule, asOf: bound },
        source: { xmin: summary.xmin, droppedRows: summary.droppedRows, heldBackRows: summary.heldBackRows },
        missingRequired: missing.counts(),
        columns: columnsOf(kept, features),
        file: { path: options.out, format, rows, bytes, sha256 },
      }
      await publish(db, manifest, sealed, overwrite)
      return manifest
    } catch (error) {
      await writer.abort()
      throw error
    }
  } finally {
    // a table that cannot be dropped now is dropped by the next run
    await spine.drop().catch(() => undefined)
  }
}

/** Both files are whole on the disk and the registry knows of them before they get their names; should a name fail, the entry goes again. */
async function publish(db: Database, manifest: DatasetManifest, file: SealedFile, overwrite: boolean): Promise<void> {
  const beside = await sealManifest(manifest)
  try {
    await db.kysely
      .insertInto('lockstep.datasets')
      .values({
        id: manifest.id,
        service: manifest.service.id,
        fingerprint: manifest.service.fingerprint,
        path: manifest.file.path,
        manifest: JSON.stringify(manifest),
      })
      .execute()
    try {
      await placeFiles([beside, file], overwrite)
    } catch (error) {
      await db.kysely.deleteFrom('lockstep.datasets').where('id', '=', manifest.id).execute()
      throw error
    }
  } catch (error) {
    await beside.abort()
    throw error
  }
}

function carriedColumns(spine: Spine, names: readonly string[] | undefined): number[] {
  if (names === undefined) return spine.columns.map((_, slot) => slot)
  const repeated = names.find((name, i) => names.indexOf(name) !== i)
  if (repeated !== undefined)
    throw new LockstepError('SPINE_INVALID', `The column "${repeated}" is to be carried over twice; name it once.`)
  return names.map((name) => {
    const slot = spine.columns.findIndex((column) => column.name === name)
    if (slot >= 0) return slot
    throw new LockstepError(
      'SPINE_INVALID',
      `The spine has no column "${name}" to carry over; it has ${spine.columns.map((column) => `"${column.name}"`).join(', ')}.`,
    )
  })
}

function spineHash(spine: Spine): { update(batch: JoinedBatch): void; digest(): string } {
  const hash = createHash('sha256')
  const writer = new ByteWriter(1 << 16)
  const codecs = spine.columns.map(({ name, type }) => {
    writer.string(name)
    return valueCodec(type)
  })
  hash.update(writer.view())
  return {
    update({ length, spine: columns }) {
      writer.reset()
      for (let row = 0; row < length; row++) {
        for (let c = 0; c < codecs.length; c++) codecs[c]?.write(writer, columns[c]?.[row] ?? null)
      }
      hash.update(writer.view())
    },
    digest: () => hash.digest('hex'),
  }
}

function requiredCounts(service: ServicePlan): { update(batch: JoinedBatch): void; counts(): Record<string, number> } {
  const counts = new Map(service.required.map((name) => [name, 0]))
  return {
    update({ missing }) {
      for (const names of missing) for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
    },
    counts: () => Object.fromEntries(counts),
  }
}
