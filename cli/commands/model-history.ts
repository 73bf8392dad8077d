import { listModelEvents, maxModelEvents } from '../../registry/models/model-events.ts'
import { modelHistoryAnswer } from '../../serving/protocols/http/models/model-schemas.ts'
import type { Command } from '../command.ts'
import { moment } from '../text/human.ts'
import { queryOf } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { table } from '../text/table.ts'

export const modelHistoryCommand: Command = {
  name: 'model history',
  summary: 'Show the changes of a model: who, when and why',
  arguments: [{ name: 'NAME', help: 'The model.' }],
  options: { limit: { value: 'N', help: 'The maximum number, newest first. Default: 100.' }, server: serverOption },
  example: 'lockstep model history delay',
  async run(context, input) {
    const [given, limit, server] = [input.argument('NAME'), input.count('limit', 1, maxModelEvents), serverOf(context, input)]
    const read = async () => {
      const { name: model } = (await context.catalog()).model(given)
      return { model, events: await listModelEvents(await context.database(), model, limit) }
    }
    const path = `/v1/models/${encodeURIComponent(given)}/history${queryOf({ limit })}`
    const { model: name, events } = server === null ? await read() : await server.ask('GET', path, undefined, modelHistoryAnswer)
    const rows = events.map(({ at, action, alias, from, to, actor, reason }) => [
      moment(new Date(at)),
      action,
      alias ?? '',
      from === null ? '' : String(from),
      to === null ? '' : String(to),
      actor,
      reason ?? '',
    ])
    return {
      json: { model: name, events },
      text:
        rows.length === 0
          ? `The model ${name} has no changes yet.`
          : table(['AT (UTC)', 'ACTION', 'ALIAS', 'FROM', 'TO', 'BY', 'WHY'], rows),
    }
  },
}
