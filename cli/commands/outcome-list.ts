import type { Command } from '../command.ts'
import { finderOf } from '../find/finder.ts'
import { serverOption } from '../remote/server-option.ts'
import { table } from '../text/table.ts'

export const outcomeListCommand: Command = {
  name: 'outcome list',
  summary: 'List outcomes: what really happened after predictions',
  description: ['"lockstep outcome show NAME" counts the predictions with an outcome.'],
  options: { server: serverOption },
  example: 'lockstep outcome list',
  async run(context, input) {
    const outcomes = await finderOf(context, input).entries({ kinds: ['outcome'] })
    const lines = outcomes.map(({ name, owner, about }) => [name, owner ?? '', about])
    return {
      json: { outcomes },
      text:
        outcomes.length === 0
          ? 'There is no outcome in the registry. Declare one with outcome(…), and apply the file.'
          : table(['NAME', 'OWNER', 'ABOUT'], lines, '', context.terminal.width),
    }
  },
}
