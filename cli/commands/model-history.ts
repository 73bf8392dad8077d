import { listModelEvents, maxModelEvents } from '../../registry/model-events.ts'
import type { Command } from '../command.ts'
import { moment } from '../human.ts'
import { table } from '../table.ts'

export const modelHistoryCommand: Command = {
  name: 'model history',
  summary: 'Show the changes of a model: who, when and why',
  arguments: [{ name: 'NAME', help: 'The model.' }],
  options: { limit: { value: 'N', help: 'The maximum number, newest first. Default: 100.' } },
  example: 'lockstep model history delay',
  async run(context, input) {
    const { name } = (await context.catalog()).model(input.argument('NAME'))
    const events = await listModelEvents(await context.database(), name, input.count('limit', 1, maxModelEvents))
    const rows = events.map(({ at, action, alias, from, to, actor, reason }) => [
      moment(at),
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
