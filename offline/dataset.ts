import { createHash, randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { ByteWriter } from '../kernel/binary.ts'
import { LockstepError } from '../kernel/errors.ts'
import type { ServicePlan } from '../kernel/service-plan.ts'
import { valueCodec } from '../kernel/value-codec.ts'
import type { Column } from '../kernel/value-type.ts'
import type { TimeRule } from '../kernel/view-plan.ts'
import type { Database } from '../runtime/database.ts'
import type { DatasetManifest } from './dataset-manifest.ts'
import { columnsOf, manifestPath, viewsOf, writeManifest } from './dataset-manifest.ts'
import { createDatasetWriter } from './files/dataset-writer.ts'
import type { JoinedBatch, JoinProgress, JoinSummary } from './join.ts'
import { joinSpine } from './join.ts'
import { refuseLabelLeak } from './label-leak.ts'
import { openSpine } from './spine/open-spine.ts'
import type { Spine, SpineInput } from './spine/spine.ts'

export interface DatasetOptions {
  readonly spine: SpineInput
  /** Path of the file to write. */
  readonly out: string
  /** Absent: `csv` where the path ends so, else `parquet`. */
  readonly format?: 'parquet' | 'csv'
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
 * what went into it. After an error, or a kill, no file stands there that could be taken for whole.
 *
 * @throws LockstepError `LABEL_LEAK`, `SPINE_INVALID`, `FILE_EXISTS`, `WRITE_FAILED` and whatever `openSpine` and `joinSpine` throw
 */
export async function createDataset(db: Database, service: ServicePlan, options: DatasetOptions): Promise<DatasetManifest> {
  const rule: TimeRule = { knowledge: options.knowledge ?? 'bitemporal', freshness: options.freshness ?? 'served' }
  const bound = options.asOf ?? 'at'
  if ('sql' in options.spine && bound === 'at') await refuseLabelLeak(db, service, options.spine.sql, rule)
  const format = options.format ?? (options.out.toLowerCase().endsWith('.csv') ? 'csv' : 'parquet')
  const given = options.signal === undefined ? {} : { signal: options.signal }
  const spine = await openSpine(db, service, options.spine, { ...given, ...(options.time === undefined ? {} : { time: options.time }) })
  try {
    const carried = carriedColumns(spine, options.columns)
    const features = service.features.map(({ name, type }): Column => ({ name, type }))
    const kept = carried.map((slot) => spine.columns[slot] as Column)
    const writer = await createDatasetWriter(options.out, [...kept, ...features], { format, overwrite: options.overwrite ?? false })
    const hash = spineHash(spine)
    const missing = requiredCounts(service)
    let summary: JoinSummary
    try {
      const joining = { rule, bound, ...given, ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }) }
      summary = await joinSpine(db, service, spine, joining, async (batch) => {
        hash.update(batch)
        missing.update(batch)
        await writer.write([...carried.map((slot) => batch.spine[slot] as JoinedBatch['spine'][number]), ...batch.values])
      })
    } catch (error) {
      await writer.abort()
      throw error
    }
    const written = await writer.close()
    const manifest: DatasetManifest = {
      id: randomUUID(),
      createdAt: new Date().toISOString(),
      service: { id: service.id, fingerprint: service.fingerprint },
      views: viewsOf(service),
      spine: { from: options.spine, time: spine.time, rows: spine.rows, nullKeyRows: spine.nullKeyRows, sha256: hash.digest() },
      rule: { ...rule, asOf: bound },
      source: { xmin: summary.xmin, droppedRows: summary.droppedRows },
      missingRequired: missing.counts(),
      columns: columnsOf(kept, features),
      file: { path: options.out, format, ...written },
    }
    await record(db, manifest)
    return manifest
  } finally {
    await spine.drop()
  }
}

/** The file is whole; should its manifest or its entry in the registry fail, it goes again. */
async function record(db: Database, manifest: DatasetManifest): Promise<void> {
  const { path } = manifest.file
  try {
    await writeManifest(manifest)
    await db.kysely
      .insertInto('lockstep.datasets')
      .values({
        id: manifest.id,
        service: manifest.service.id,
        fingerprint: manifest.service.fingerprint,
        path,
        manifest: JSON.stringify(manifest),
      })
      .execute()
  } catch (error) {
    await rm(path, { force: true })
    await rm(manifestPath(path), { force: true })
    throw error
  }
}

function carriedColumns(spine: Spine, names: readonly string[] | undefined): number[] {
  if (names === undefined) return spine.columns.map((_, slot) => slot)
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
  const required = service.features.flatMap(({ name, required: needed }, index) => (needed ? [{ name, index, missing: 0 }] : []))
  return {
    update({ values }) {
      for (const feature of required) for (const value of values[feature.index] ?? []) if (value === null) feature.missing++
    },
    counts: () => Object.fromEntries(required.map(({ name, missing }) => [name, missing])),
  }
}
