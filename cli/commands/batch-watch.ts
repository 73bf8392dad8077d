import { jobFailure } from '../../runtime/jobs/await-job.ts'
import { batchJson } from '../../serving/batch/batch-json.ts'
import { batchName, batchText } from '../text/batch-text.ts'
import { findBatch } from '../batch-tools.ts'
import type { Command } from '../command.ts'
import { findServerBatch, watchServerBatch } from '../remote/batches.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { watchJob } from '../watch-job.ts'
import { jobTools } from '../worker-tools.ts'

export const batchWatchCommand: Command = {
  name: 'batch watch',
  summary: 'Show the progress of a batch until it ends',
  description: [
    'Workers do the work; this command only shows it. Exits with 0 if the batch is done, and with 1 if it failed or was cancelled.',
  ],
  arguments: [{ name: 'ID', help: 'The id of the batch, as "batch list" shows it, or its folder.' }],
  options: { server: serverOption },
  streams: true,
  example: 'lockstep batch watch delays/june',
  async run(context, input) {
    const [id, server] = [input.argument('ID'), serverOf(context, input)]
    if (server !== null) {
      const done = await watchServerBatch(context, server, await findServerBatch(server, id))
      return { json: done, text: batchText(done) }
    }
    const tools = await jobTools(context)
    const { id: number } = await findBatch(tools.db, id)
    const job = await watchJob(context, tools, number, { label: `Batch ${batchName(id)}`, kinds: null })
    const failure = jobFailure(job)
    if (failure !== null) throw failure
    const batch = batchJson(job)
    return { json: batch, text: batchText(batch) }
  },
}
