import { LockstepError } from '../../kernel/errors.ts'
import { dropDeadLetters } from '../../materializer/streams/dead-letters.ts'
import { actorOf } from '../actor.ts'
import type { Command } from '../command.ts'
import { chosenLetters, letterArguments, letterOptions } from '../dead-letters.ts'
import { counted } from '../human.ts'

export const deadLetterDropCommand: Command = {
  name: 'dead-letter drop',
  summary: 'Delete dead letters',
  arguments: letterArguments,
  options: { ...letterOptions, yes: { help: 'Do not ask for confirmation.' } },
  example: 'lockstep dead-letter drop 17',
  async run(context, input) {
    const db = await context.database()
    const letters = await chosenLetters(db, input)
    if (letters.length > 0 && !input.flag('yes')) {
      const sure = await context.terminal.confirm(`Delete ${counted(letters.length, 'dead letter')} permanently?`)
      if (!sure) throw new LockstepError('STOPPED', 'No dead letter was deleted.')
    }
    const ids = letters.map(({ id }) => id)
    const dropped = await dropDeadLetters(db, ids, actorOf(input))
    return { json: { dropped, ids }, text: `Deleted ${counted(dropped, 'dead letter')}.` }
  },
}
