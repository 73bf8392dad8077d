import { batchJson } from '../../serving/batch/batch-json.ts'
import { batchText } from '../batch-text.ts'
import { findBatch } from '../batch-tools.ts'
import type { Command } from '../command.ts'

export const batchShowCommand: Command = {
  name: 'batch show',
  summary: 'Show a batch: its state, progress, rows and cost',
  arguments: [{ name: 'ID', help: 'The id of the batch, as "batch list" shows it, or its folder.' }],
  example: 'lockstep batch show delays/june',
  async run(context, input) {
    const batch = batchJson(await findBatch(await context.database(), input.argument('ID')))
    return { json: batch, text: batchText(batch) }
  },
}
