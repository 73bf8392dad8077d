import { letterJson, listDeadLetters, requireLetterSource } from '../../materializer/streams/dead-letters.ts'
import { deadLettersAnswer } from '../../serving/protocols/http/streaming/dead-letters-route.ts'
import type { Command } from '../command.ts'
import { moment } from '../text/human.ts'
import type { Server } from '../remote/server.ts'
import { queryOf } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { table } from '../text/table.ts'

type ShownLetter = ReturnType<typeof letterJson>

const pageSize = 1_000

export const deadLetterListCommand: Command = {
  name: 'dead-letter list',
  summary: 'List dead letters (stream messages that could not become rows), newest first',
  arguments: [{ name: 'SOURCE', help: 'The source, or "pipeline NAME".', takes: 'optional' }],
  options: { server: serverOption },
  example: 'lockstep dead-letter list landings',
  async run(context, input) {
    const [source] = input.arguments('SOURCE')
    const server = serverOf(context, input)
    const letters =
      server === null
        ? (await listDeadLetters(await context.database(), { source })).map(letterJson)
        : await lettersOfServer(server, source)
    // reports a misspelt name as an error, not as an empty list; a source that was removed may still have dead letters
    if (server === null && source !== undefined && letters.length === 0) requireLetterSource(await context.catalog(), source)
    const rows = letters.map(({ id, source: of, message, at, reason, error }) => [
      String(id),
      of,
      message,
      moment(new Date(at)),
      reason,
      error,
    ])
    const header = ['ID', 'SOURCE', 'MESSAGE', 'AT (UTC)', 'REASON', 'ERROR']
    return {
      json: { deadLetters: letters },
      text: rows.length === 0 ? 'There are no dead letters.' : table(header, rows, '', context.terminal.width),
    }
  },
}

async function lettersOfServer(server: Server, source: string | undefined): Promise<readonly ShownLetter[]> {
  const letters: ShownLetter[] = []
  for (let before: number | null | undefined; before !== null;) {
    const page = await server.ask('GET', `/v1/dead-letters${queryOf({ source, before, limit: pageSize })}`, undefined, deadLettersAnswer)
    letters.push(...page.deadLetters)
    before = page.next
  }
  return letters
}
