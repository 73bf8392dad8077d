import { pathToFileURL } from 'node:url'
import { LockstepError } from '../kernel/errors.ts'
import { isTableUrl, outputFields } from '../registry/define/batch-output-fields.ts'
import type { Database } from '../runtime/postgres/database.ts'
import type { Job } from '../runtime/jobs/read-jobs.ts'
import { absoluteName, isStoredObject } from '../runtime/storage/object-store.ts'
import type { BatchJobs } from '../serving/batch/batch-job.ts'
import { createBatchJobs } from '../serving/batch/batch-job.ts'
import { readBatch } from '../serving/batch/batch-json.ts'
import type { BatchRequest } from '../serving/batch/batch-spec.ts'
import { newestJob } from '../serving/batch/begin-batch.ts'
import type { Context } from './context.ts'
import type { JobTools } from './worker-tools.ts'

/** The job kind of batches for this process. Models that it loads are unloaded when the process ends. */
export function batchJobs(
  { log, add, store }: Pick<Context, 'log' | 'add' | 'store'>,
  { db, catalog }: Pick<JobTools, 'db' | 'catalog'>,
): BatchJobs {
  const jobs = createBatchJobs({ db, catalog, log, store })
  add('batches', () => jobs.close())
  return jobs
}

/** The URL of the folder of a batch, without a slash at its end, or its table. */
export function outputUrl(out: string): string {
  if (isTableUrl(out)) return outputFields({ out }).out
  const name = absoluteName(out)
  return (isStoredObject(name) ? name : pathToFileURL(name).href).replace(/\/+$/, '')
}

/**
 * The batch with an id, or the one of a folder: without `--id`, the id is the URL of the folder.
 *
 * @throws LockstepError `NOT_FOUND`
 */
export async function findBatch(db: Database, named: string): Promise<Job> {
  return (await newestJob(db, named)) ?? (await newestJob(db, outputUrl(named))) ?? (await readBatch(db, named))
}

/**
 * How many rows may have no prediction: `1%`, or a number of rows.
 *
 * @throws LockstepError `USAGE`
 */
export function maxRefusedOf(text: string): NonNullable<BatchRequest['maxRefused']> {
  const [, percent, rows] = /^(?:(\d+(?:\.\d+)?)\s*%|(\d+))$/.exec(text) ?? []
  if (percent !== undefined && Number(percent) <= 100) return { share: Number(percent) / 100 }
  if (rows !== undefined) return { rows: Number(rows) }
  throw new LockstepError('USAGE', `"--max-refused" is "${text}"; write a share such as 1%, or a number of rows.`)
}
