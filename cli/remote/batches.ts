import { formatDuration } from '../../kernel/values/duration.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { isTableUrl } from '../../registry/define/batch-output-fields.ts'
import { isStoredObject } from '../../runtime/storage/object-store.ts'
import type { BatchRequest } from '../../serving/batch/batch-spec.ts'
import type { BatchAnswer } from '../../serving/protocols/http/jobs/batches-route.ts'
import { batchAnswer, beginBatchAnswer } from '../../serving/protocols/http/jobs/batches-route.ts'
import { outputUrl } from '../batch-tools.ts'
import type { Context } from '../context.ts'
import type { Server } from './server.ts'
import { watchServerJob } from './watch-server-job.ts'

export const batchPath = (id: string): string => `/v1/batches/${encodeURIComponent(id)}`

/**
 * The batch of a server with an id, or the one of a folder: without `--id`, the id is the URL of the folder.
 *
 * @throws LockstepError `NOT_FOUND`
 */
export async function findServerBatch(server: Server, named: string): Promise<BatchAnswer> {
  const read = async (id: string): Promise<BatchAnswer> => {
    const { requestId: _, ...batch } = await server.ask('GET', batchPath(id), undefined, batchAnswer)
    return batch
  }
  try {
    return await read(named)
  } catch (error) {
    const isMissing = error instanceof LockstepError && error.code === 'NOT_FOUND'
    if (!isMissing || outputUrl(named) === named) throw error
    return await read(outputUrl(named)).catch(() => Promise.reject(error))
  }
}

/** Shows the progress of a server's batch until it is done. @throws LockstepError what it failed with; `STOPPED` */
export async function watchServerBatch(context: Context, server: Server, { id, job }: BatchAnswer): Promise<BatchAnswer> {
  await watchServerJob(context, server, job, { label: `Batch ${id}`, work: `work on the batch "${id}"` })
  return await findServerBatch(server, id)
}

/**
 * Begins a batch on a server, whose workers do it.
 *
 * @returns the batch, and whether it ran or was done before
 * @throws LockstepError `USAGE` where its files are on this machine, `BATCH_CONFLICT`, and the server's errors
 */
export async function beginServerBatch(
  server: Server,
  id: string,
  { version, spine, format, mode, key, onlineMicros, knownBefore, ...request }: BatchRequest,
  reason: string | undefined,
): Promise<BatchAnswer & { readonly joined: boolean }> {
  const here = 'file' in spine && !isStoredObject(spine.file) ? spine.file : request.out
  if (!isTableUrl(here) && !isStoredObject(here)) {
    throw new LockstepError(
      'USAGE',
      `A server cannot use "${here}" of this machine. Let "--spine" be a query or a URL such as s3://bucket/rows.parquet, and "--out" a URL or a table.`,
    )
  }
  const isTable = format === 'table'
  const body = {
    ...withoutNulls({ ...request, version, key }),
    spine,
    ...(isTable ? { mode } : { format }),
    ...(knownBefore === null ? {} : { knownBefore: formatTimestamp(knownBefore) }),
    ...(onlineMicros === null ? {} : { online: formatDuration(onlineMicros) }),
    reason,
  }
  const { requestId: _, ...begun } = await server.ask('PUT', batchPath(id), body, beginBatchAnswer)
  return begun
}

function withoutNulls(values: object): object {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null))
}
