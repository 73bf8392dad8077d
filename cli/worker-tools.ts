import type { ServicePlan } from '../kernel/service-plan.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { OnlineStore } from '../online/store.ts'
import type { Catalog } from '../registry/catalog.ts'
import { loadCatalog } from '../registry/catalog.ts'
import { catalogRevision } from '../registry/revision.ts'
import type { Database } from '../runtime/database.ts'
import { isEmbedded } from '../runtime/database.ts'
import type { JobQueue } from '../runtime/job-queue.ts'
import { openEmbeddedJobQueue, openJobQueue } from '../runtime/job-queue.ts'
import { workerUrl } from '../runtime/worker-sessions.ts'
import type { Context } from './context.ts'
import { processName } from '../runtime/process-name.ts'

/** What a process needs that takes jobs of exports. */
export interface ExportTools {
  readonly db: Database
  readonly jobs: JobQueue
  /** How others call this process: `host:pid`. */
  readonly worker: string
  /** The registry, read again when it has changed. */
  catalog(): Promise<Catalog>
  find(service: string): Promise<ServicePlan>
}

/** What a process needs that takes jobs of views, too. */
export interface WorkerTools extends ExportTools {
  readonly store: OnlineStore
  /** How far views are gone over again after a failover of the store, milliseconds. */
  readonly replayMs: number
  view(id: string): Promise<ViewPlan>
}

/** @throws LockstepError `CONFIG_INVALID` where the database is embedded: exports are shared among processes */
export async function exportTools(context: Context): Promise<ExportTools> {
  const jobs = await openJobQueue(context.config)
  context.add('jobs', () => jobs.close())
  return toolsOf(await context.database(), jobs)
}

/**
 * Of an embedded database, for its one process.
 *
 * @param keepsViews whether others are to see that this process keeps the online views current
 */
export async function workerTools(context: Context, keepsViews = false): Promise<WorkerTools> {
  const { config } = context
  const [db, store] = [await context.database(), await context.store()]
  const postgresUrl = keepsViews && config.postgresUrl !== null ? workerUrl(config.postgresUrl) : config.postgresUrl
  const jobs = isEmbedded(db) ? await openEmbeddedJobQueue(db) : await openJobQueue({ postgresUrl })
  context.add('jobs', () => jobs.close())
  const tools = toolsOf(db, jobs)
  const replayMs = context.config.replaySeconds * 1000
  return { ...tools, store, replayMs, view: async (id) => (await tools.catalog()).view(id) }
}

function toolsOf(db: Database, jobs: JobQueue): ExportTools {
  let known: Catalog | null = null
  const catalog = async (): Promise<Catalog> => {
    if (known === null || known.revision !== (await catalogRevision(db))) known = await loadCatalog(db)
    return known
  }
  return {
    db,
    jobs,
    worker: processName(),
    catalog,
    find: async (service) => (await catalog()).service(service),
  }
}
