import { maxListedJobs } from '../../runtime/jobs/read-jobs.ts'
import { listBatches } from '../../serving/batch/batch-json.ts'
import { batchTable } from '../batch-text.ts'
import type { Command } from '../command.ts'

const states = ['running', 'done', 'failed', 'cancelled'] as const

export const batchListCommand: Command = {
  name: 'batch list',
  summary: 'List batches, running ones first',
  options: {
    model: { value: 'MODEL', help: 'Only batches of this model.' },
    state: { value: 'STATE', choices: states, help: 'Only batches that are "running", "done", "failed" or "cancelled".' },
    limit: { value: 'N', help: 'The maximum number. Default: 100.' },
  },
  example: 'lockstep batch list --state running',
  async run(context, input) {
    const filter = { model: input.text('model'), state: input.choice('state', states), limit: input.count('limit', 1, maxListedJobs) }
    const batches = await listBatches(await context.database(), filter)
    return { json: { batches }, text: batches.length === 0 ? 'There are no such batches.' : batchTable(batches) }
  },
}
