import { ingestOnce } from '../../offline/ingest-once.ts'
import { userAtHost } from '../actor.ts'
import type { Command } from '../command.ts'
import { count, counted, duration } from '../human.ts'

export const ingestCommand: Command = {
  name: 'ingest',
  summary: "Load a Parquet, CSV or JSON lines file into a source's table",
  description: [
    'All of its rows or none. Columns go by name. The same file is loaded into a table once; "lockstep ingest undo" takes a load back.',
    'With --key, rows whose values in these columns are in the table already are passed over, so that a load can be repeated.',
  ],
  arguments: [
    { name: 'SOURCE', help: 'The source, as the registry has it.' },
    { name: 'FILE', help: 'The file: .parquet, .csv or .jsonl.' },
  ],
  options: {
    every: { value: 'N', help: 'Load only every N-th row.' },
    key: { value: 'A,B,…', help: 'The columns that tell rows apart: load only rows whose values in them are new.' },
    again: { help: 'Load the file although the same one was loaded before: its rows count once more.' },
  },
  streams: true,
  example: 'lockstep ingest payments payments.parquet',
  async run(context, input) {
    const catalog = await context.catalog()
    const source = catalog.source(input.argument('SOURCE'))
    const file = input.argument('FILE')
    const every = input.count('every', 1)
    const progress = context.terminal.progress(`Ingesting ${file.split('/').at(-1) ?? file}`, 'rows')
    try {
      const key = input.text('key')?.split(',')
      const result = await ingestOnce(await context.database(), source, file, {
        signal: context.signal,
        actor: userAtHost(),
        again: input.flag('again'),
        ...(key === undefined ? {} : { key: key.map((name) => name.trim()) }),
        onProgress: ({ rows, totalRows }) => progress.update(rows, totalRows),
        ...(every === undefined ? {} : { every }),
      })
      const rate = result.seconds > 0 ? ` (${count(result.rows / result.seconds)} rows/s)` : ''
      const passed = result.already > 0 ? `; ${counted(result.already, 'row')} there already` : ''
      return {
        json: result,
        text: `Ingested ${counted(result.rows, 'row')} from ${file} into ${result.table} in ${duration(result.seconds * 1000)}${rate}${passed}. Load ${result.id}.`,
      }
    } finally {
      progress.end()
    }
  },
}
