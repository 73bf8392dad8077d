import { cutText } from '../../kernel/cut-text.ts'
import { readDeadLetters } from '../../materializer/streams/dead-letters.ts'
import type { Command } from '../command.ts'
import { letterJson } from '../dead-letters.ts'
import { moment } from '../human.ts'
import { table } from '../table.ts'

const errorLength = 100

export const deadLetterListCommand: Command = {
  name: 'dead-letter list',
  summary: 'List dead letters (stream messages that could not become rows), newest first',
  arguments: [{ name: 'SOURCE', help: 'The source.', takes: 'optional' }],
  example: 'lockstep dead-letter list landings',
  async run(context, input) {
    const [source] = input.arguments('SOURCE')
    const letters = await readDeadLetters(await context.database(), source === undefined ? {} : { source })
    // reports a misspelt name as an error, not as an empty list; a source that was removed may still have dead letters
    if (source !== undefined && letters.length === 0) (await context.catalog()).source(source)
    const rows = letters.map(({ id, source: of, message, at, reason, error }) => [
      String(id),
      of,
      message,
      moment(at),
      reason,
      cutText(error, errorLength),
    ])
    return {
      json: { deadLetters: letters.map(letterJson) },
      text: rows.length === 0 ? 'There are no dead letters.' : table(['ID', 'SOURCE', 'MESSAGE', 'AT (UTC)', 'REASON', 'ERROR'], rows),
    }
  },
}
