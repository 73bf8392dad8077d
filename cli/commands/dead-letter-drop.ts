import { LockstepError } from '../../kernel/errors.ts'
import { chosenLetterIds, dropDeadLetters } from '../../materializer/streams/dead-letters.ts'
import { droppedLettersAnswer } from '../../serving/protocols/http/streaming/dead-letters-route.ts'
import { actorOf } from '../actor.ts'
import type { Command } from '../command.ts'
import { chosenBody, chosenLetters, letterArguments, letterOptions } from '../dead-letters.ts'
import { counted } from '../text/human.ts'
import { serverOf } from '../remote/server-option.ts'

export const deadLetterDropCommand: Command = {
  name: 'dead-letter drop',
  summary: 'Delete dead letters',
  description: ['Give their ids, or --source, or --all. Their messages cannot be retried afterwards.'],
  arguments: letterArguments,
  options: { ...letterOptions, yes: { help: 'Do not ask for confirmation.' } },
  example: 'lockstep dead-letter drop 17',
  async run(context, input) {
    const [chosen, by, server] = [chosenLetters(input), actorOf(input), serverOf(context, input)]
    const confirm = async (what: string): Promise<void> => {
      if (input.flag('yes') || (await context.terminal.confirm(`Delete ${what} permanently?`))) return
      throw new LockstepError('STOPPED', 'No dead letter was deleted.')
    }
    if (server !== null) {
      const { ids: given, source } = chosen
      const all = source === undefined ? 'all dead letters' : `all dead letters of "${source}"`
      await confirm(given === undefined ? all : counted(given.length, 'dead letter'))
      const body = chosenBody(chosen, by.reason)
      const { dropped, ids } = await server.ask('POST', '/v1/dead-letters/drop', body, droppedLettersAnswer)
      return { json: { dropped, ids }, text: `Deleted ${counted(dropped, 'dead letter')}.` }
    }
    const db = await context.database()
    const ids = await chosenLetterIds(db, chosen, () => context.catalog())
    if (ids.length > 0) await confirm(counted(ids.length, 'dead letter'))
    const dropped = await dropDeadLetters(db, ids, by)
    return { json: { dropped, ids }, text: `Deleted ${counted(dropped, 'dead letter')}.` }
  },
}
