import { LockstepError, messageOf } from '../kernel/errors.ts'
import type { ServicePlan } from '../kernel/service-plan.ts'
import type { DatasetManifest } from '../offline/datasets/dataset-manifest.ts'
import type { ExportOptions } from '../offline/distributed-export/begin-export.ts'
import { beginExport } from '../offline/distributed-export/begin-export.ts'
import { exportsInParts } from '../offline/distributed-export/export-in-parts.ts'
import { exportSpec } from '../offline/distributed-export/export-spec.ts'
import { jobFailure } from '../runtime/jobs/await-job.ts'
import type { Context } from './context.ts'
import { findDataset } from '../offline/datasets/stored-datasets.ts'
import { watchJob } from './watch-job.ts'
import { jobTools } from './worker-tools.ts'

export interface InPartsOptions extends ExportOptions {
  /** Whether this process works on parts, too. */
  readonly work: boolean
}

/**
 * Distributes an export among workers, and shows its progress. If this process is stopped, the workers go on.
 *
 * @throws LockstepError `CONFIG_INVALID` where the database is embedded, as processes share the work of an export
 */
export async function createInParts(
  context: Context,
  service: ServicePlan,
  { work, ...options }: InPartsOptions,
): Promise<DatasetManifest> {
  if (context.config.postgresUrl === null) {
    throw new LockstepError(
      'CONFIG_INVALID',
      'An export in parts is shared among processes through PostgreSQL, and the embedded database belongs to one. Set "LOCKSTEP_POSTGRES_URL", or leave out the parts.',
    )
  }
  const tools = await jobTools(context)
  const { id } = await beginExport(tools, service, options)
  const kinds = work ? [exportsInParts({ db: tools.db, find: tools.service })] : null
  const job = await watchJob(context, tools, id, { label: `Exporting ${service.id}`, kinds }).catch((error: unknown) => {
    if (!context.signal.aborted) throw error
    throw new LockstepError(
      'STOPPED',
      `${messageOf(context.signal.reason)} Workers continue with the export: "lockstep job watch ${id}" shows it, "lockstep job cancel ${id}" ends it.`,
      { cause: context.signal.reason, details: { job: id } },
    )
  })
  const failure = jobFailure(job)
  if (failure !== null) throw failure
  return (await findDataset(tools.db, exportSpec.parse(job.spec).id)).manifest
}
