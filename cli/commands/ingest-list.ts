import { readLoads } from '../../offline/read-loads.ts'
import { loadsAnswer } from '../../serving/protocols/http/data/event-schemas.ts'
import type { Command } from '../command.ts'
import { count, moment } from '../human.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { table } from '../table.ts'

export const ingestListCommand: Command = {
  name: 'ingest list',
  summary: 'List the files that were loaded',
  options: { server: serverOption },
  example: 'lockstep ingest list',
  async run(context, input) {
    const server = serverOf(context, input)
    const loads =
      server === null ? await readLoads(await context.database()) : (await server.ask('GET', '/v1/loads', undefined, loadsAnswer)).loads
    const lines = loads.map(({ id, source, rows, at, state, path }) => [id, source, count(rows), moment(new Date(at)), state, path])
    const halfway = loads.filter(({ state }) => state === 'undoing').map(({ id }) => `lockstep ingest undo ${id}`)
    return {
      json: { loads },
      text:
        lines.length === 0
          ? 'No file has been loaded yet.'
          : [
              table(['ID', 'SOURCE', 'ROWS', 'LOADED (UTC)', 'STATE', 'FILE'], lines),
              ...halfway.map((command) => `note: an undo was interrupted; finish it with "${command}"`),
            ].join('\n'),
    }
  },
}
