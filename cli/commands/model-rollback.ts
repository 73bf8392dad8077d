import { championAlias } from '../../registry/model-aliases.ts'
import { rollBackModel } from '../../registry/promote.ts'
import { actorOf, reasonOption } from '../actor.ts'
import { aliasChangeText } from '../model-text.ts'
import type { Command } from '../command.ts'

export const modelRollbackCommand: Command = {
  name: 'model rollback',
  summary: 'Restore the previous champion',
  description: ['Run it again to go back further. The oldest entry is the version that was newest before the first promotion.'],
  arguments: [{ name: 'NAME', help: 'The model.' }],
  options: { alias: { value: 'ALIAS', help: 'The alias to roll back. Default: champion.' }, reason: reasonOption },
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
