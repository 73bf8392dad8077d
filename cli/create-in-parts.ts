import type { ServicePlan } from '../kernel/service-plan.ts'
import type { DatasetManifest } from '../offline/dataset-manifest.ts'
import type { SharedDatasetOptions } from '../offline/distributed-export/create-distributed.ts'
import { createSharedDataset } from '../offline/distributed-export/create-distributed.ts'
import { openDatabase } from '../runtime/open-database.ts'
import type { Context } from './context.ts'
import { exportQueue, jobTools } from './worker-tools.ts'

/** Shares an export out among workers, and shows how far all of them are. */
export async function createInParts(context: Context, service: ServicePlan, options: SharedDatasetOptions): Promise<DatasetManifest> {
  const jobs = await exportQueue(context)
  const tools = await jobTools(context)
  // a stop ends what the context's own database does, and must not end what is put away after it
  const keeper = await openDatabase(context.config)
  context.add('keeper of the spine', () => keeper.close())
  const progress = context.terminal.progress(`Exporting ${service.id}`, 'rows')
  try {
    return await createSharedDataset({ db: tools.db, worker: tools.worker, find: tools.service, jobs, keeper }, service, {
      ...options,
      onRows: (done, total) => progress.update(done, total),
    })
  } finally {
    progress.end()
  }
}
