import { ingestFile } from '../../offline/ingest.ts'
import type { Command } from '../command.ts'
import { count, counted, duration } from '../human.ts'

export const ingestCommand: Command = {
  name: 'ingest',
  summary: "Load a Parquet, CSV or JSON lines file into a source's table",
  description: ['All of its rows or none. Columns go by name. Each run adds the rows of the file once more.'],
  arguments: [
    { name: 'SOURCE', help: 'The source, as the registry has it.' },
    { name: 'FILE', help: 'The file: .parquet, .csv or .jsonl.' },
  ],
  options: { every: { value: 'N', help: 'Load only every N-th row.' } },
  streams: true,
  example: 'lockstep ingest payments payments.parquet',
  async run(context, input) {
    const catalog = await context.catalog()
    const source = catalog.source(input.argument('SOURCE'))
    const file = input.argument('FILE')
    const every = input.count('every', 1)
    const progress = context.terminal.progress(`Ingesting ${file.split('/').at(-1) ?? file}`, 'rows')
    try {
      const result = await ingestFile(await context.database(), source, file, {
        signal: context.signal,
        onProgress: ({ rows, totalRows }) => progress.update(rows, totalRows),
        ...(every === undefined ? {} : { every }),
      })
      const rate = result.seconds > 0 ? ` (${count(result.rows / result.seconds)} rows/s)` : ''
      return {
        json: result,
        text: `Ingested ${counted(result.rows, 'row')} from ${file} into ${result.table} in ${duration(result.seconds * 1000)}${rate}.`,
      }
    } finally {
      progress.end()
    }
  },
}
