import type { ServicePlan } from '../kernel/service-plan.ts'
import type { ViewPlan } from '../kernel/view-plan.ts'
import type { OnlineStore } from '../online/store.ts'
import type { Catalog } from '../registry/catalog.ts'
import { loadCatalog } from '../registry/catalog.ts'
import { catalogRevision } from '../registry/revision.ts'
import type { Database } from '../runtime/postgres/database.ts'
import { isEmbedded } from '../runtime/postgres/database.ts'
import { openDatabase } from '../runtime/postgres/open-database.ts'
import { workerUrl } from '../runtime/postgres/worker-sessions.ts'
import type { Context } from './context.ts'
import { processName } from '../runtime/process-name.ts'

/** The resources of a process that works on jobs. */
export interface JobTools {
  readonly db: Database
  /** The same database over connections that a stop does not end, so that steps can be handed back. */
  readonly jobs: Database
  /** The name of this process for others: `host:pid`. */
  readonly worker: string
  /** The registry, read again when it has changed. */
  catalog(): Promise<Catalog>
  service(id: string): Promise<ServicePlan>
  view(id: string): Promise<ViewPlan>
}

/** The resources of a process that also works on jobs of online views. */
export interface WorkerTools extends JobTools {
  readonly store: OnlineStore
  /** How far back views are re-materialized after a failover of the store, milliseconds. */
  readonly replayMs: number
}

/** @param keepsViews whether this process announces to others that it keeps the online views current */
export async function jobTools(context: Context, keepsViews = false): Promise<JobTools> {
  const { config } = context
  const db = await context.database()
  const jobs = isEmbedded(db)
    ? db
    : await openLasting(context, keepsViews && config.postgresUrl !== null ? workerUrl(config.postgresUrl) : null)
  let known: Catalog | null = null
  const catalog = async (): Promise<Catalog> => {
    const former = known
    try {
      const current = former !== null && former.revision === (await catalogRevision(db)) ? former : await loadCatalog(db)
      known = current
      return current
    } catch (error) {
      // after an outage it is loaded in any case: a database that was restored from a backup counts its revisions again
      known = null
      throw error
    }
  }
  return {
    db,
    jobs,
    worker: processName(),
    catalog,
    service: async (id) => (await catalog()).service(id),
    view: async (id) => (await catalog()).view(id),
  }
}

export async function workerTools(context: Context, keepsViews = false): Promise<WorkerTools> {
  const store = await context.store()
  return { ...(await jobTools(context, keepsViews)), store, replayMs: context.config.replaySeconds * 1000 }
}

async function openLasting(context: Context, url: string | null): Promise<Database> {
  const jobs = await openDatabase(url === null ? context.config : { ...context.config, postgresUrl: url })
  context.add('jobs', () => jobs.close())
  return jobs
}
