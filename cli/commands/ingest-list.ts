import { maxListedLoads, readLoads } from '../../offline/ingest/read-loads.ts'
import { loadsAnswer } from '../../serving/protocols/http/data/event-schemas.ts'
import type { Command } from '../command.ts'
import { count, moment } from '../text/human.ts'
import { queryOf } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { table } from '../text/table.ts'

export const ingestListCommand: Command = {
  name: 'ingest list',
  summary: 'List the files that were loaded',
  options: {
    source: { value: 'NAME', help: 'Only files that were loaded into this source.' },
    limit: { value: 'N', help: 'The maximum number, newest first. Default: 100.' },
    server: serverOption,
  },
  example: 'lockstep ingest list --source payments',
  async run(context, input) {
    const [server, source] = [serverOf(context, input), input.text('source')]
    const filter = { source, limit: input.count('limit', 1, maxListedLoads) }
    const { loads, next } =
      server === null
        ? await readLoads(await context.database(), filter)
        : await server.ask('GET', `/v1/loads${queryOf(filter)}`, undefined, loadsAnswer)
    // reports a misspelt name as an error, not as an empty list; a source that was removed may still have loads
    if (server === null && source !== undefined && loads.length === 0) (await context.catalog()).source(source)
    const lines = loads.map(({ id, source, rows, at, state, path }) => [id, source, count(rows), moment(new Date(at)), state, path])
    const halfway = loads.filter(({ state }) => state === 'undoing').map(({ id }) => `lockstep ingest undo ${id}`)
    return {
      json: { loads },
      text:
        lines.length === 0
          ? `No file has been loaded${source === undefined ? '' : ` into "${source}"`} yet.`
          : [
              table(['ID', 'SOURCE', 'ROWS', 'LOADED (UTC)', 'STATE', 'FILE'], lines),
              ...(next === null ? [] : ['note: there are older ones; --limit lists more']),
              ...halfway.map((command) => `note: an undo was interrupted; finish it with "${command}"`),
            ].join('\n'),
    }
  },
}
