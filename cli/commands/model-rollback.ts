import { championAlias } from '../../registry/models/model-aliases.ts'
import { rollBackModel } from '../../registry/models/promote.ts'
import { aliasChangeAnswer } from '../../serving/protocols/http/models/model-schemas.ts'
import { actorOf, reasonOption } from '../actor.ts'
import { aliasChangeText } from '../text/model-text.ts'
import type { Command } from '../command.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'

export const modelRollbackCommand: Command = {
  name: 'model rollback',
  summary: 'Restore the previous champion',
  description: ['Run it again to go back further. The oldest entry is the version that was newest before the first promotion.'],
  arguments: [{ name: 'NAME', help: 'The model.' }],
  options: { alias: { value: 'ALIAS', help: 'The alias to roll back. Default: champion.' }, reason: reasonOption, server: serverOption },
  example: 'lockstep model rollback delay --reason "errors since noon"',
  async run(context, input) {
    const [name, alias, by] = [input.argument('NAME'), input.text('alias') ?? championAlias, actorOf(input)]
    const server = serverOf(context, input)
    const change =
      server === null
        ? await rollBackModel(await context.database(), name, by, alias)
        : await server.ask('POST', `/v1/models/${encodeURIComponent(name)}/rollback`, { alias, reason: by.reason }, aliasChangeAnswer)
    return { json: change, text: aliasChangeText(change) }
  },
}
