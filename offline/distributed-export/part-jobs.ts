import { rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { ServicePlan } from '../../kernel/service-plan.ts'
import type { Database } from '../../runtime/database.ts'
import type { JobQueue } from '../../runtime/job-queue.ts'
import type { JobKind } from '../../runtime/work-on-jobs.ts'
import { isSpineHeld } from '../spine/spine-table.ts'
import type { PartJob } from './part-job.ts'
import { allQueues, packResult, spineOfQueue, unpackResult } from './part-job.ts'
import { removeLostExport } from './remove-lost-exports.ts'
import { writePart } from './write-part.ts'

export interface PartWorkerTools {
  readonly db: Database
  readonly jobs: JobQueue
  /** Gives the service of that id, or throws why there is none. */
  readonly find: (service: string) => Promise<ServicePlan>
  /** How others call this process: `host:pid`. */
  readonly worker: string
}

/** Parts of exports. What another worker would fail of, too, fails the export. */
export function partJobs({ db, jobs, find, worker }: PartWorkerTools): JobKind {
  return {
    prefix: allQueues,
    async isWanted(queue) {
      if (await isSpineHeld(db, spineOfQueue(queue))) return true
      await removeLostExport(db, jobs, queue)
      return false
    },
    async work({ data }, signal) {
      const job = data as PartJob // made by createSharedDataset alone
      return packResult(await writePart(db, await find(job.service.id), job, worker, signal))
    },
    refuse: async ({ data }, { code, message, details }) =>
      packResult({ part: (data as PartJob).part, worker, error: { code, message, details } }),
    async undo({ data }, packed) {
      const { folder } = data as PartJob
      const result = unpackResult(packed)
      if ('file' in result) await rm(join(folder, result.file), { force: true })
      await rmdir(folder).catch(() => undefined)
    },
    describe(data) {
      const { part, parts, service, spine } = data as PartJob
      return `part ${part} of ${parts} of ${service.id} (export ${spine.id})`
    },
  }
}
