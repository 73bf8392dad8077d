import { championAlias } from '../../registry/model-aliases.ts'
import { rollBackModel } from '../../registry/promote.ts'
import { actorOf, reasonOption } from '../actor.ts'
import { aliasChangeText } from '../alias-change-text.ts'
import type { Command } from '../command.ts'

export const modelRollbackCommand: Command = {
  name: 'model rollback',
  summary: 'Serve the version again that was the champion before',
  description: ['Given again, it goes back one more. Before the first promotion stands the version that was the newest then.'],
  arguments: [{ name: 'NAME', help: 'The model.' }],
  options: { alias: { value: 'ALIAS', help: 'Another alias than champion.' }, reason: reasonOption },
  example: 'lockstep model rollback delay --reason "errors since noon"',
  async run(context, input) {
    const change = await rollBackModel(
      await context.database(),
      input.argument('NAME'),
      actorOf(input),
      input.text('alias') ?? championAlias,
    )
    return { json: change, text: aliasChangeText(change) }
  },
}
