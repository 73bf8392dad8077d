import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { readJob } from '../../runtime/jobs/read-jobs.ts'
import { absoluteName } from '../../runtime/storage/object-store.ts'
import { findJob, submitJob } from '../../runtime/jobs/submit-job.ts'
import type { DatasetOptions } from '../datasets/dataset.ts'
import { recipeOf } from '../datasets/dataset.ts'
import { spineName } from '../spine/spine-table.ts'
import { exportsInParts, makeExportFolder } from './export-in-parts.ts'
import type { ExportSpec } from './export-spec.ts'
import { exportFolder, exportKind, exportSpec, tableName } from './export-spec.ts'
import { planExport } from './plan-export.ts'

export interface ExportOptions extends Omit<DatasetOptions, 'split' | 'onProgress'> {
  /** The number of files, or the greatest number of spine rows in each. */
  readonly parts: ExportSpec['parts']
  /** A worker that sends no heartbeat for this long counts as dead. Absent: 30. */
  readonly leaseSeconds?: number
}

export interface ExportBeginner {
  /** The database over connections that the signal does not end: they keep the spine until the job has it. */
  readonly jobs: Database
  /** The name of this process for others: `host:pid`. */
  readonly worker: string
}

/**
 * Begins to write a training set as numbered files in a folder. All workers of the database share the work. The files,
 * one after another, have the rows of a single file. The spine is loaded here, once; from then on no process owns the
 * export. Each part reads the sources as they were at the beginning. The files get their final names when all are
 * complete.
 *
 *     begin: spine, job -> every worker: part 0, part 3 …, facts of the manifest -> finish: registry, names, manifest
 *
 * If the same export runs already, the call joins it. After an error nothing has changed.
 *
 * @throws LockstepError `IN_USE` where another export into the folder runs; all errors of `recipeOf` and `planExport`
 */
export async function beginExport(
  { jobs, worker }: ExportBeginner,
  service: ServicePlan,
  options: ExportOptions,
): Promise<{ readonly id: number; readonly joined: boolean }> {
  const { parts: _, ...recipe } = recipeOf({ ...options, format: options.format ?? 'parquet' })
  const spec = exportSpec.parse({
    id: randomUUID(),
    createdAt: new Date().toISOString(),
    service: { id: service.id, fingerprint: service.fingerprint },
    recipe,
    parts: options.parts,
    out: absoluteName(options.out).replace(/(?<=.)\/+$/, ''),
    overwrite: options.overwrite ?? false,
  })
  const kind = exportsInParts({ db: jobs, find: () => Promise.resolve(service) })
  const key = spec.out
  for (;;) {
    const running = await findJob(jobs, { kind: exportKind, scope: '', key })
    if (running !== null) {
      await refuseOther(jobs, running, spec)
      return { id: running, joined: true }
    }
    const { plan, chunks, spine } = await planExport(jobs, service, spec, options.signal)
    try {
      const submitted = await submitJob(jobs, kind, {
        spec,
        subject: service.id,
        key,
        planned: { plan, chunks },
        worker,
        leaseSeconds: options.leaseSeconds,
        async within(transaction, id) {
          options.signal?.throwIfAborted()
          await transaction.schema
            .alterTable(`lockstep.${spineName(spine.id)}`)
            .renameTo(tableName(id))
            .execute()
          await makeExportFolder(exportFolder(spec.out, id))
          return true
        },
      })
      if (submitted !== null && !submitted.joined) return submitted
    } finally {
      // the job has renamed the table
      await spine.drop().catch(() => undefined)
    }
  }
}

/** @throws LockstepError `IN_USE` where a different export runs */
async function refuseOther(db: Database, id: number, spec: ExportSpec): Promise<void> {
  const running = exportSpec.parse((await readJob(db, id)).spec)
  if (isDeepStrictEqual({ ...running, id: '', createdAt: '' }, { ...spec, id: '', createdAt: '' })) return
  throw new LockstepError(
    'IN_USE',
    `Another export into the folder "${spec.out}" is running, as job ${id}; wait for it ("lockstep job watch ${id}"), cancel it ("lockstep job cancel ${id}"), or choose another folder.`,
    { details: { job: id, path: spec.out } },
  )
}
