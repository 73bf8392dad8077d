import { mkdir, readFile, rm, rmdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Column, ValueType } from '../../kernel/values/value-type.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { isStoredObject } from '../../runtime/storage/object-store.ts'
import { isTemporary } from '../../runtime/is-temporary.ts'
import type { JobKind, RunningJob } from '../../runtime/jobs/job-kind.ts'
import { carriedColumns } from '../datasets/carried-columns.ts'
import { manifestOf, within } from '../datasets/dataset-manifest.ts'
import { partOfRange } from '../datasets/dataset-parts.ts'
import { writeFailed } from '../../runtime/files/place-files.ts'
import { confirmLeaks, refuseLabelLeak } from '../datasets/label-leak.ts'
import type { StatisticsState } from '../profile/column-statistics.ts'
import { collectStatistics } from '../profile/column-statistics.ts'
import { dropUnderReaders } from '../spine/slice-spine.ts'
import { spineName } from '../spine/spine-table.ts'
import type { Spine } from '../spine/spine.ts'
import { hashSpine, leftOutRows } from './export-facts.ts'
import type { ExportChunk, ExportFacts, ExportPlan, ExportResult, ExportSpec, WrittenExportPart } from './export-spec.ts'
import { exportFolder, exportKind, exportSpec, exportTable, partPathOf, statisticsOfPart, tableName } from './export-spec.ts'
import { readText, removeHidden, removeParts, requireParts } from './export-objects.ts'
import { planExport } from './plan-export.ts'
import { isPublished, publishExport, removeExport } from './publish-export.ts'
import { writePart } from './write-part.ts'

/** The group of the advisory locks for naming or removing the files of an export: `lsEX` in ASCII. */
const exportLocks = 0x6c73_4558

export interface ExportTools {
  readonly db: Database
  /** Returns the service of that id, or throws an error with the reason. */
  readonly find: (service: string) => Promise<ServicePlan>
}

/** Exports in parts as jobs. An error that every other worker would also get fails the export. */
export function exportsInParts({ db, find }: ExportTools): JobKind<ExportSpec, ExportPlan, ExportChunk, ExportResult> {
  return {
    name: exportKind,
    spec: exportSpec,
    retries: 4,
    backoffSeconds: { from: 1, to: 60 },
    async plan({ id, spec }, { signal, isHeld }) {
      const service = await serviceOf(find, spec)
      const folder = exportFolder(spec.out, id)
      // left by an attempt that was killed
      await removeFolder(spec, id)
      await dropUnderReaders(db, exportTable(id))
      const { plan, chunks, spine } = await planExport(db, service, spec, signal)
      try {
        if (!(await isHeld())) throw new LockstepError('STOPPED', `The export ${id} has ended, or another worker plans it.`)
        await db.kysely.schema
          .alterTable(`lockstep.${spineName(spine.id)}`)
          .renameTo(tableName(id))
          .execute()
        await makeExportFolder(folder)
      } finally {
        await spine.drop().catch(() => undefined)
      }
      return { plan, chunks }
    },
    async run(job, chunk, { signal, worker }) {
      const { spec, plan } = job
      const service = await serviceOf(find, spec)
      const { recipe } = spec
      const spine = spineOf(job)
      if ('facts' in chunk) {
        const [digest, leftOut, unchecked] = await Promise.all([
          hashSpine(db, spine, signal),
          leftOutRows(db, service, plan.arrivedBefore),
          plan.unchecked ?? confirmLeaks(db, service, spine, await refuseLabelLeak(db, service, recipe.spine, recipe)),
        ])
        return { digest, leftOut, unchecked }
      }
      const { arrivedBefore } = plan
      const task = { ...recipe, ...chunk, spine, arrivedBefore, out: spec.out, folder: exportFolder(spec.out, job.id), worker }
      try {
        return await writePart(db, service, task, signal)
      } catch (error) {
        if (!(error instanceof LockstepError) || isTemporary(error)) throw error
        const { code, message, details } = error
        throw new LockstepError(code, `${message} (Part ${chunk.part} of ${chunk.parts}, by the worker "${worker}".)`, {
          cause: error,
          details: { ...details, part: chunk.part, worker },
        })
      }
    },
    async drop({ spec }, written) {
      // on a disk, its folder is gone
      if (isStoredObject(spec.out) && isPart(written)) await removeParts(spec, [written])
    },
    async finish(job, results, { signal, isHeld }) {
      const { id, spec } = job
      const facts = results.find((result): result is ExportFacts => 'digest' in result)
      const parts = partsOf(results)
      if (facts === undefined) throw new LockstepError('INTERNAL', `The export ${id} has no facts.`)
      const service = await serviceOf(find, spec)
      await alone(db, id, async () => {
        if (await isPublished(spec)) return
        const { manifest, files } = await describeExport(job, service, parts, facts)
        signal.throwIfAborted()
        if (!(await isHeld())) throw new LockstepError('STOPPED', `The export ${id} has ended, or another worker finishes it.`)
        if (isStoredObject(spec.out)) await requireParts(spec, results.filter(isPart))
        await publishExport(db, manifest, files, { folder: exportFolder(spec.out, id), overwrite: spec.overwrite })
      })
      await dropUnderReaders(db, exportTable(id))
      await removeFolder(spec, id)
      return { dataset: spec.id, path: spec.out }
    },
    async clean({ id, spec, plan }, results, { isHeld }) {
      await alone(db, id, async () => {
        // if another worker has cleaned already, the export may have been retried since
        if (!(await isHeld())) return
        await dropUnderReaders(db, exportTable(id))
        await removeExport(db, spec, id, partsOf(results))
        await removeFolders(spec.out, plan?.made ?? null)
      })
    },
    describe({ id, subject, chunks }, { step, number }) {
      if (step !== 'chunk') return `the ${step} of export ${id} (${subject})`
      return number === chunks - 1
        ? `the facts of ${subject} (export ${id})`
        : `part ${number} of ${chunks - 1} of ${subject} (export ${id})`
    },
  }
}

/** Makes the hidden folder of an export. The export's own folder exists already. */
export async function makeExportFolder(folder: string): Promise<void> {
  if (isStoredObject(folder)) return
  await mkdir(folder).catch((cause: unknown) => {
    throw writeFailed(folder, cause)
  })
}

async function removeFolder(spec: ExportSpec, job: number): Promise<void> {
  if (isStoredObject(spec.out)) await removeHidden(spec, job)
  else await rm(exportFolder(spec.out, job), { recursive: true, force: true })
}

/** The manifest, and the files that it names. */
async function describeExport(
  job: RunningJob<ExportSpec, ExportPlan>,
  service: ServicePlan,
  parts: readonly { readonly part: number; readonly written: WrittenExportPart }[],
  { digest, leftOut, unchecked }: ExportFacts,
) {
  const { id, spec, plan } = job
  const { recipe, out } = spec
  const spine = spineOf(job)
  const folder = exportFolder(out, id)
  const columns = {
    spine: carriedColumns(spine, recipe.columns).map((slot) => spine.columns[slot] as Column),
    features: service.features.map(({ name, type }): Column<ValueType> => ({ name, type })),
  }
  const statistics = collectStatistics([...columns.spine, ...columns.features])
  for (const { written } of parts) {
    // only writePart writes these
    const beside = within(folder, statisticsOfPart(written.file))
    const text = isStoredObject(beside) ? await readText(beside) : await readFile(beside, 'utf8')
    if (text === null) throw new LockstepError('FILE_CHANGED', `"${beside}" was removed while the export ran. Run the export again.`)
    statistics.merge(JSON.parse(text) as StatisticsState)
  }
  const files = parts.map(({ part, written: { file, rows, bytes, sha256, range } }) => ({
    partial: within(folder, file),
    path: partPathOf(spec, part),
    rows,
    bytes,
    sha256,
    part: null,
    range,
    statistics: [],
  }))
  const manifest = manifestOf(
    { id: spec.id, createdAt: spec.createdAt, path: out },
    service,
    { ...recipe, parts: parts.map(({ written }) => partOfRange(written.range)) },
    {
      spine: { time: spine.time, rows: spine.rows, nullKeyRows: spine.nullKeyRows, ...digest },
      join: { rows: spine.rows, xmin: plan.arrivedBefore, ...leftOut, files: plan.files },
      missing: missingOf(service, parts),
      columns,
      statistics: statistics.result(),
      files,
    },
    unchecked,
  )
  return { manifest, files }
}

function missingOf(service: ServicePlan, parts: readonly { readonly written: WrittenExportPart }[]) {
  const sum = (of: (part: WrittenExportPart) => number): number => parts.reduce((all, { written }) => all + of(written), 0)
  const byFeature = Object.fromEntries(service.required.map((name) => [name, sum(({ missing }) => missing.byFeature[name] ?? 0)]))
  return { update: () => undefined, rows: () => sum(({ missing }) => missing.rows), byFeature: () => byFeature }
}

function isPart(result: ExportResult): result is WrittenExportPart {
  return 'file' in result
}

/** The written parts by their number, which is that of their chunk. */
function partsOf(results: readonly (ExportResult | null)[]) {
  return results.flatMap((written, part) => (written !== null && 'file' in written ? [{ part, written }] : []))
}

/** @throws LockstepError `NOT_REPRODUCIBLE` where the service is not the requested one */
async function serviceOf(find: ExportTools['find'], { service }: ExportSpec): Promise<ServicePlan> {
  const found = await find(service.id)
  if (found.fingerprint === service.fingerprint) return found
  throw new LockstepError(
    'NOT_REPRODUCIBLE',
    `The service "${found.id}" has the fingerprint ${found.fingerprint} in this worker, but the export began with ${service.fingerprint}. Run the same version of Lockstep on all workers.`,
  )
}

function spineOf({ id, plan }: RunningJob<ExportSpec, ExportPlan>): Spine {
  return { ...plan.spine, table: exportTable(id), drop: () => Promise.resolve() }
}

/** Runs `fn` in one process at a time, even if a worker that counted as dead is still running. */
async function alone(db: Database, id: number, fn: () => Promise<void>): Promise<void> {
  const release = await db.tryLock(exportLocks, id % 2 ** 31)
  if (release === null) throw new LockstepError('BUSY', `Another process names or removes the files of export ${id}; Lockstep tries again.`)
  try {
    await fn()
  } finally {
    await release()
  }
}

/** Removes the folders that were made for the export, unless they contain anything. */
async function removeFolders(out: string, made: string | null): Promise<void> {
  for (let folder = out; made !== null && folder.length >= made.length; folder = dirname(folder)) {
    const removed = await rmdir(folder).then(
      () => true,
      () => false,
    )
    if (!removed) break
  }
}
