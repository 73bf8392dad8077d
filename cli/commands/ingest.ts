import { basename } from 'node:path'
import { defined } from '../../kernel/defined.ts'
import type { IngestOnceOptions, IngestOnceResult } from '../../offline/ingest/ingest-once.ts'
import { ingestOnce } from '../../offline/ingest/ingest-once.ts'
import { ingestAnswer } from '../../serving/protocols/http/data/event-schemas.ts'
import { userAtHost } from '../actor.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import { count, counted, duration } from '../text/human.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { uploadFile } from '../remote/upload-file.ts'

export const ingestCommand: Command = {
  name: 'ingest',
  summary: "Load a Parquet, CSV or JSON lines file into a source's table",
  description: [
    'Loads all rows or none. Columns are matched by name. A file is loaded into a table only once. "lockstep ingest undo" undoes a load.',
    'With --key, skips rows whose values in these columns are already in the table, so that a load can be repeated.',
    'A column _event_id has the ids of events: rows whose id is already in the table are skipped.',
  ],
  arguments: [
    { name: 'SOURCE', help: 'The source, by its name in the registry.' },
    { name: 'FILE', help: 'The file: .parquet, .csv or .jsonl.' },
  ],
  options: {
    every: { value: 'N', help: 'Load only every N-th row.' },
    key: { value: 'A,B,…', help: 'The columns that identify a row: load only rows with new values in them.' },
    again: { help: 'Load the file even if it was loaded before: its rows count again.' },
    server: serverOption,
  },
  streams: true,
  example: 'lockstep ingest payments payments.parquet',
  async run(context, input) {
    const [name, file] = [input.argument('SOURCE'), input.argument('FILE')]
    const key = input
      .text('key')
      ?.split(',')
      .map((column) => column.trim())
    const options = { again: input.flag('again'), ...defined({ key, every: input.count('every', 1) }) }
    const server = serverOf(context, input)
    const result =
      server === null
        ? await ingestHere(context, name, file, options)
        : await uploadFile(context, server, file, (upload) =>
            server.ask('POST', `/v1/sources/${encodeURIComponent(name)}/files`, { ...options, upload }, ingestAnswer),
          )
    const rate = result.seconds > 0 ? ` (${count(result.rows / result.seconds)} rows/s)` : ''
    const passed = result.already > 0 ? `; ${counted(result.already, 'row')} there already` : ''
    return {
      json: result,
      text: `Ingested ${counted(result.rows, 'row')} from ${file} into ${result.table} in ${duration(result.seconds * 1000)}${rate}${passed}. Load ${result.id}.`,
    }
  },
}

async function ingestHere(
  context: Context,
  name: string,
  file: string,
  options: Pick<IngestOnceOptions, 'again' | 'key' | 'every'>,
): Promise<IngestOnceResult> {
  const source = (await context.catalog()).ingestSource(name)
  const progress = context.terminal.progress(`Ingesting ${basename(file)}`, 'rows')
  try {
    return await ingestOnce(await context.database(), source, file, {
      ...options,
      signal: context.signal,
      actor: userAtHost(),
      onProgress: ({ rows, totalRows }) => progress.update(rows, totalRows),
    })
  } finally {
    progress.end()
  }
}
