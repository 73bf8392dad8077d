import { ingestOnce } from '../../offline/ingest-once.ts'
import { userAtHost } from '../actor.ts'
import type { Command } from '../command.ts'
import { count, counted, duration } from '../human.ts'

export const ingestCommand: Command = {
  name: 'ingest',
  summary: "Load a Parquet, CSV or JSON lines file into a source's table",
  description: [
    'Loads all rows or none. Columns are matched by name. A file is loaded into a table only once. "lockstep ingest undo" undoes a load.',
    'With --key, rows whose values in these columns are in the table already are passed over, so that a load can be repeated.',
  ],
  arguments: [
    { name: 'SOURCE', help: 'The source, by its name in the registry.' },
    { name: 'FILE', help: 'The file: .parquet, .csv or .jsonl.' },
  ],
  options: {
    every: { value: 'N', help: 'Load only every N-th row.' },
    key: { value: 'A,B,…', help: 'The columns that identify a row: load only rows with new values in them.' },
    again: { help: 'Load the file even if it was loaded before: its rows count again.' },
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
