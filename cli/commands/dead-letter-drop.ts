import { LockstepError } from '../../kernel/errors.ts'
import { dropDeadLetters } from '../../materializer/streams/dead-letters.ts'
import { actorOf } from '../actor.ts'
import type { Command } from '../command.ts'
import { chosenLetters, letterArguments, letterOptions } from '../dead-letters.ts'
import { counted } from '../human.ts'

export const deadLetterDropCommand: Command = {
  name: 'dead-letter drop',
  summary: 'Forget messages that no row could be made of',
  arguments: letterArguments,
  options: { ...letterOptions, yes: { help: 'Do not ask.' } },
  example: 'lockstep dead-letter drop 17',
  async run(context, input) {
    const db = await context.database()
    const letters = await chosenLetters(db, input)
    if (letters.length > 0 && !input.flag('yes')) {
      const sure = await context.terminal.confirm(`Forget ${counted(letters.length, 'dead letter')} for good?`)
      if (!sure) throw new LockstepError('STOPPED', 'No dead letter was dropped.')
    }
    const ids = letters.map(({ id }) => id)
    const dropped = await dropDeadLetters(db, ids, actorOf(input))
    return { json: { dropped, ids }, text: `Dropped ${counted(dropped, 'dead letter')}.` }
  },
}
