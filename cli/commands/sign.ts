import { LockstepError } from '../../kernel/errors.ts'
import { signContent, unsignedContent } from '../../registry/sign-content.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { counted } from '../human.ts'

export const signCommand: Command = {
  name: 'sign',
  summary: 'Sign the definitions and models that the registry holds without a signature',
  description: [
    'Lists what LOCKSTEP_SIGNING_KEY has not signed, asks, and signs it. Look at it first: anyone who could write to the database may have put it there. After a change of the key it signs anew what an older key has signed.',
    '"apply" and "model push" sign what they store, so this is for what was stored before the key was set.',
  ],
  options: { yes: { help: 'Do not ask.' }, reason: reasonOption },
  example: 'lockstep sign',
  async run(context, input) {
    const db = await context.database()
    const { signing } = db
    if (signing === undefined) {
      throw new LockstepError('CONFIG_INVALID', 'There is no key to sign with: set "LOCKSTEP_SIGNING_KEY", as in docs/configuration.md.')
    }
    const unsigned = await unsignedContent(db.kysely, signing)
    const lines = unsigned.map(({ what, wasSigned }) => `  ${what}: ${wasSigned ? 'signed by an older key' : 'not signed'}`)
    if (unsigned.length > 0 && !input.flag('yes')) {
      context.terminal.complain(lines.join('\n'))
      if (!(await context.terminal.confirm(`Sign ${counted(unsigned.length, 'of these', 'of these')}?`)))
        throw new LockstepError('STOPPED', 'Nothing was signed.')
    }
    if (unsigned.length > 0) await signContent(db, signing, unsigned, actorOf(input))
    return {
      json: { signed: unsigned.map(({ what, wasSigned }) => ({ what, wasSigned })) },
      text: unsigned.length === 0 ? 'All is signed already.' : ['Signed:', ...lines].join('\n'),
    }
  },
}
