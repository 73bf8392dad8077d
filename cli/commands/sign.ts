import { LockstepError } from '../../kernel/errors.ts'
import { signContent, unsignedContent } from '../../registry/sign-content.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'

export const signCommand: Command = {
  name: 'sign',
  summary: 'Sign unsigned definitions and models in the registry',
  description: [
    'Lists what LOCKSTEP_SIGNING_KEY has not signed, asks for confirmation, and signs it. Review the list: anyone who could write to the database may have added something. After a change of the key, also signs again what an older key signed.',
    '"apply" and "model push" sign what they store. Use this command for definitions and versions that were stored before the key was set.',
  ],
  options: { yes: { help: 'Do not ask for confirmation.' }, reason: reasonOption },
  example: 'lockstep sign',
  async run(context, input) {
    const db = await context.database()
    const { signing } = db
    if (signing === undefined) {
      throw new LockstepError('CONFIG_INVALID', 'There is no signing key. Set "LOCKSTEP_SIGNING_KEY" (docs/configuration.md).')
    }
    const unsigned = await unsignedContent(db.kysely, signing)
    const lines = unsigned.map(({ what, wasSigned }) => `  ${what}: ${wasSigned ? 'signed by an older key' : 'not signed'}`)
    if (unsigned.length > 0 && !input.flag('yes')) {
      context.terminal.complain(lines.join('\n'))
      if (!(await context.terminal.confirm(unsigned.length === 1 ? 'Sign it?' : `Sign these ${unsigned.length}?`)))
        throw new LockstepError('STOPPED', 'Nothing was signed.')
    }
    if (unsigned.length > 0) await signContent(db, signing, unsigned, actorOf(input))
    return {
      json: { signed: unsigned.map(({ what, wasSigned }) => ({ what, wasSigned })) },
      text: unsigned.length === 0 ? 'Everything is signed already.' : ['Signed:', ...lines].join('\n'),
    }
  },
}
