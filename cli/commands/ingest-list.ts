import type { Command } from '../command.ts'
import { count, moment } from '../human.ts'
import { table } from '../table.ts'

export const ingestListCommand: Command = {
  name: 'ingest list',
  summary: 'List the files that were loaded',
  example: 'lockstep ingest list',
  async run(context) {
    const { kysely } = await context.database()
    const found = await kysely.selectFrom('lockstep.ingests').selectAll().orderBy('id', 'desc').execute()
    const loads = found.map(
      ({ id, source, relation, path, sha256, every, again, key, rows, already, actor, at, undoing_at, undone_at }) => ({
        id,
        source,
        table: relation,
        path,
        sha256,
        every,
        again,
        key,
        actor,
        rows: Number(rows),
        already: Number(already),
        at: at.toISOString(),
        state: undone_at !== null ? 'undone' : undoing_at !== null ? 'undoing' : 'loaded',
      }),
    )
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
