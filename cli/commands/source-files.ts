import { readStoredFiles, storedFileJson } from '../../offline/source-files/stored-files.ts'
import { sourceFilesAnswer } from '../../serving/protocols/http/data/source-files-route.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import { bytes as sizeOf, count, moment } from '../text/human.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { table } from '../text/table.ts'

export const sourceFilesCommand: Command = {
  name: 'source files',
  summary: 'List the Parquet files that were loaded into a source',
  arguments: [{ name: 'SOURCE', help: 'The source, by its name in the registry.' }],
  options: { server: serverOption },
  example: 'lockstep source files landings',
  async run(context, input) {
    const server = serverOf(context, input)
    const { source, files } = await (server === null
      ? storedFiles(context, input.argument('SOURCE'))
      : server.ask('GET', `/v1/sources/${encodeURIComponent(input.argument('SOURCE'))}/files`, undefined, sourceFilesAnswer))
    const day = (time: string | null): string => (time === null ? '' : moment(new Date(time)))
    const rows = files.map((file) => [
      file.path,
      count(file.rows),
      sizeOf(file.bytes),
      day(file.minEvent),
      day(file.maxEvent),
      day(file.syncedAt),
      file.load,
    ])
    const header = ['FILE', 'ROWS', 'SIZE', 'FIRST EVENT', 'LAST EVENT', 'LOADED (UTC)', 'LOAD']
    return {
      json: { source, files },
      text: files.length === 0 ? `No file has been loaded into "${source}" yet.` : table(header, rows),
    }
  },
}

async function storedFiles(context: Context, name: string) {
  const { name: source } = (await context.catalog()).source(name)
  return { source, files: (await readStoredFiles(await context.database(), source)).map(storedFileJson) }
}
