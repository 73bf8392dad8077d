import { LockstepError } from '../../kernel/errors.ts'
import { awaitJob } from '../../runtime/jobs/await-job.ts'
import { cancelJob } from '../../runtime/jobs/end-job.ts'
import { isSettled } from '../../runtime/jobs/read-jobs.ts'
import { batchJson, readBatch } from '../../serving/batch/batch-json.ts'
import { actorOf, reasonOption } from '../actor.ts'
import { batchJobs, findBatch } from '../batch-tools.ts'
import type { Command } from '../command.ts'
import { jobTools } from '../worker-tools.ts'

export const batchCancelCommand: Command = {
  name: 'batch cancel',
  summary: 'Cancel a batch and remove its files',
  arguments: [{ name: 'ID', help: 'The id of the batch, as "batch list" shows it, or its folder.' }],
  options: { reason: reasonOption },
  example: 'lockstep batch cancel delays/june --reason "wrong version"',
  async run(context, input) {
    const tools = await jobTools(context)
    const { id: job, state, subject: id } = await findBatch(tools.db, input.argument('ID'))
    if (!(await cancelJob(tools.db, job, actorOf(input)))) {
      throw new LockstepError('INVALID_REQUEST', `The batch "${id}" is ${state}; only a running batch can be cancelled.`, {
        details: { id, state },
      })
    }
    const work = { kinds: [batchJobs(context, tools).kind], worker: tools.worker }
    await awaitJob(tools.jobs, job, { signal: context.signal, work })
    const isClean = await isSettled(tools.db, job)
    return {
      json: { ...batchJson(await readBatch(tools.db, id)), isClean },
      text: `Cancelled the batch ${id}.${isClean ? ' Its files are removed.' : ' A worker still has to remove its files.'}`,
    }
  },
}
