import { loadDefinitions } from '../../registry/load-definitions.ts'
import { planChanges } from '../../registry/plan.ts'
import type { Command } from '../command.ts'
import { definitionsArgument, definitionsFile } from '../definitions-argument.ts'
import { counted } from '../human.ts'
import { changeCounts, planJson, planText } from '../plan-text.ts'

export const planCommand: Command = {
  name: 'plan',
  summary: 'Show what "apply" would change',
  description: ['Reads the registry and the tables of the sources, and writes nothing. Exits with 1 if "apply" would refuse the file.'],
  arguments: [definitionsArgument],
  options: {
    prune: { help: 'Plan to retire definitions that are not in the file.' },
    'break-models': { help: 'Plan what "apply --break-models" would do.' },
  },
  example: 'lockstep plan',
  async run(context, input) {
    const set = await loadDefinitions(definitionsFile(context, input))
    const plan = await planChanges(await context.database(), set, { prune: input.flag('prune'), breakModels: input.flag('break-models') })
    const refused = plan.problems.length > 0
    const verdict = refused
      ? `"apply" would refuse the file: ${counted(plan.problems.length, 'problem')}.`
      : plan.changes.some(({ status }) => status !== 'unchanged' && status !== 'absent') || plan.tables.length > 0
        ? 'Nothing was written. To make these changes: lockstep apply.'
        : 'There is nothing to do.'
    return {
      json: planJson(plan),
      text: [`Plan for ${plan.file}: ${changeCounts(plan)}.`, planText(plan), verdict].filter((part) => part !== '').join('\n'),
      exitCode: refused ? 1 : 0,
    }
  },
}
