import { batchJson } from '../../serving/batch/batch-json.ts'
import { batchText } from '../text/batch-text.ts'
import { findBatch } from '../batch-tools.ts'
import type { Command } from '../command.ts'
import { findServerBatch } from '../remote/batches.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

export const batchShowCommand: Command = {
  name: 'batch show',
  summary: 'Show a batch: its state, progress, rows and cost',
  arguments: [{ name: 'ID', help: 'The id of the batch, as "batch list" shows it, or its folder.' }],
  options: { server: serverOption },
  example: 'lockstep batch show delays/june',
  async run(context, input) {
    const [named, server] = [input.argument('ID'), serverOf(context, input)]
    const batch = server === null ? batchJson(await findBatch(await context.database(), named)) : await findServerBatch(server, named)
    return { json: batch, text: batchText(batch) }
  },
}
