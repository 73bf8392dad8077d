import { rm } from 'node:fs/promises'
import type { Database } from '../../runtime/database.ts'
import type { JobQueue } from '../../runtime/job-queue.ts'
import { dropLeftovers, isSpineHeld } from '../spine/spine-table.ts'
import type { PartJob } from './part-job.ts'
import { allQueues, spineOfQueue } from './part-job.ts'

/** Removes what exports have left behind whose process is gone, wherever it ran: it cannot do so itself. */
export async function removeLostExports(db: Database, jobs: JobQueue): Promise<void> {
  for (const queue of await jobs.queues()) {
    if (queue.startsWith(allQueues) && !(await isSpineHeld(db, spineOfQueue(queue)))) await removeLostExport(db, jobs, queue)
  }
}

/** Files first: the jobs say where they are. */
export async function removeLostExport(db: Database, jobs: JobQueue, queue: string): Promise<void> {
  const job = (await jobs.anyOf(queue)) as PartJob | null
  if (job !== null) await rm(job.folder, { recursive: true, force: true })
  await jobs.remove(queue)
  await dropLeftovers(db)
}
