import { awaitJob } from '../../runtime/jobs/await-job.ts'
import { cancelJob, notRunning } from '../../runtime/jobs/end-job.ts'
import { isSettled } from '../../runtime/jobs/read-jobs.ts'
import { batchJson, readBatch } from '../../serving/batch/batch-json.ts'
import type { BatchAnswer } from '../../serving/protocols/http/jobs/batches-route.ts'
import { batchAnswer } from '../../serving/protocols/http/jobs/batches-route.ts'
import { jobAnswer } from '../../serving/protocols/http/jobs/job-schemas.ts'
import { actorOf, reasonOption } from '../actor.ts'
import { batchName } from '../text/batch-text.ts'
import { batchJobs, findBatch } from '../batch-tools.ts'
import type { Command, Outcome } from '../command.ts'
import { batchPath, findServerBatch } from '../remote/batches.ts'
import { queryOf } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { jobTools } from '../worker-tools.ts'

export const batchCancelCommand: Command = {
  name: 'batch cancel',
  summary: 'Cancel a batch and remove its files',
  arguments: [{ name: 'ID', help: 'The id of the batch, as "batch list" shows it, or its folder.' }],
  options: { reason: reasonOption, server: serverOption },
  example: 'lockstep batch cancel delays/june --reason "wrong version"',
  async run(context, input) {
    const [named, by, server] = [input.argument('ID'), actorOf(input), serverOf(context, input)]
    if (server !== null) {
      const path = batchPath((await findServerBatch(server, named)).id)
      const { requestId: _, ...batch } = await server.ask('DELETE', `${path}${queryOf({ reason: by.reason })}`, undefined, batchAnswer)
      const { steps } = await server.ask('GET', `/v1/jobs/${batch.job}`, undefined, jobAnswer)
      return cancelled({ ...batch, isClean: steps.every(({ state }) => state !== 'open') })
    }
    const tools = await jobTools(context)
    const { id: job, state, subject: id } = await findBatch(tools.db, named)
    if (!(await cancelJob(tools.db, job, by))) throw notRunning('batch', batchName(id), { id, state })
    const work = { kinds: [batchJobs(context, tools).kind], worker: tools.worker }
    await awaitJob(tools.jobs, job, { signal: context.signal, work })
    const isClean = await isSettled(tools.db, job)
    return cancelled({ ...batchJson(await readBatch(tools.db, id)), isClean })
  },
}

function cancelled(batch: BatchAnswer & { readonly isClean: boolean }): Outcome {
  const { id, isClean } = batch
  return {
    json: batch,
    text: `Cancelled the batch ${batchName(id)}.${isClean ? ' Its files are removed.' : ' A worker still has to remove its files.'}`,
  }
}
