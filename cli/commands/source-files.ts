import { readStoredFiles, storedFileJson } from '../../offline/source-files/stored-files.ts'
import type { Command } from '../command.ts'
import { bytes as sizeOf, count, moment } from '../human.ts'
import { table } from '../table.ts'

export const sourceFilesCommand: Command = {
  name: 'source files',
  summary: 'List the Parquet files that were loaded into a source',
  arguments: [{ name: 'SOURCE', help: 'The source, by its name in the registry.' }],
  example: 'lockstep source files landings',
  async run(context, input) {
    const { name } = (await context.catalog()).source(input.argument('SOURCE'))
    const files = await readStoredFiles(await context.database(), name)
    const day = (time: Date | null): string => (time === null ? '' : moment(time))
    const rows = files.map((file) => [
      file.path,
      count(file.rows),
      sizeOf(file.bytes),
      day(file.minEvent),
      day(file.maxEvent),
      moment(file.syncedAt),
      file.load,
    ])
    const header = ['FILE', 'ROWS', 'SIZE', 'FIRST EVENT', 'LAST EVENT', 'LOADED (UTC)', 'LOAD']
    return {
      json: { source: name, files: files.map(storedFileJson) },
      text: files.length === 0 ? `No file has been loaded into "${name}" yet.` : table(header, rows),
    }
  },
}
