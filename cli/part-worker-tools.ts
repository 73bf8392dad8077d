import { hostname } from 'node:os'
import type { PartWorkerTools } from '../offline/shared/part-jobs.ts'
import type { Catalog } from '../registry/catalog.ts'
import { loadCatalog } from '../registry/catalog.ts'
import { catalogRevision } from '../registry/revision.ts'
import { openJobQueue } from '../runtime/job-queue.ts'
import type { Context } from './context.ts'

/** What a process needs to write parts of exports: the registry is read again when it has changed. */
export async function partWorkerTools(context: Context): Promise<PartWorkerTools> {
  const jobs = await openJobQueue(context.config)
  context.add('jobs', () => jobs.close())
  const db = await context.database()
  let catalog: Catalog | null = null
  return {
    db,
    jobs,
    worker: `${hostname()}:${process.pid}`,
    async find(service) {
      if (catalog === null || catalog.revision !== (await catalogRevision(db))) catalog = await loadCatalog(db)
      return catalog.service(service)
    },
  }
}
