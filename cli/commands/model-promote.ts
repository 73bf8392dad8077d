import { LockstepError } from '../../kernel/errors.ts'
import { championAlias } from '../../registry/model-aliases.ts'
import { parseModelReference } from '../../registry/pick-version.ts'
import { promoteModel } from '../../registry/promote.ts'
import { actorOf, reasonOption } from '../actor.ts'
import { aliasChangeText } from '../alias-change-text.ts'
import type { Command } from '../command.ts'

export const modelPromoteCommand: Command = {
  name: 'model promote',
  summary: 'Serve a version of a model: make it the champion',
  description: [
    'Requests that name no version are answered by the champion, on every server from the next moment on. A version that cannot be served any more is refused.',
  ],
  arguments: [{ name: 'MODEL@VERSION', help: 'The version, by its number or an alias: delay@3, delay@challenger.' }],
  options: { reason: reasonOption },
  example: 'lockstep model promote delay@3 --reason "better on June"',
  async run(context, input) {
    const reference = input.argument('MODEL@VERSION')
    const { model, version } = parseModelReference(reference)
    if (version === undefined) {
      throw new LockstepError('USAGE', `"${reference}" names no version; say which is to be the champion, as in "${model}@3".`)
    }
    const change = await promoteModel(await context.database(), model, version, actorOf(input), championAlias)
    return { json: change, text: aliasChangeText(change) }
  },
}
