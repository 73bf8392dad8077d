import { maxListedJobs } from '../../runtime/jobs/read-jobs.ts'
import { listBatches } from '../../serving/batch/batch-json.ts'
import { batchesAnswer } from '../../serving/protocols/http/jobs/batches-route.ts'
import { batchTable } from '../text/batch-text.ts'
import type { Command } from '../command.ts'
import { queryOf } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

const states = ['running', 'done', 'failed', 'cancelled'] as const

export const batchListCommand: Command = {
  name: 'batch list',
  summary: 'List batches, running ones first',
  options: {
    model: { value: 'MODEL', help: 'Only batches of this model.' },
    state: { value: 'STATE', choices: states, help: 'Only batches that are "running", "done", "failed" or "cancelled".' },
    limit: { value: 'N', help: 'The maximum number. Default: 100.' },
    server: serverOption,
  },
  example: 'lockstep batch list --state running',
  async run(context, input) {
    const filter = { model: input.text('model'), state: input.choice('state', states), limit: input.count('limit', 1, maxListedJobs) }
    const isFiltered = filter.model !== undefined || filter.state !== undefined
    const server = serverOf(context, input)
    const batches =
      server === null
        ? await listBatches(await context.database(), filter)
        : (await server.ask('GET', `/v1/batches${queryOf(filter)}`, undefined, batchesAnswer)).batches
    return {
      json: { batches },
      text:
        batches.length === 0
          ? isFiltered
            ? 'There are no such batches.'
            : 'There is no batch yet. "lockstep batch run" starts one.'
          : batchTable(batches),
    }
  },
}
