import { applyChanges } from '../../registry/apply.ts'
import { loadDefinitions } from '../../registry/load-definitions.ts'
import type { Command } from '../command.ts'
import { changeCounts, planJson, planText } from '../plan-text.ts'

export const applyCommand: Command = {
  name: 'apply',
  summary: 'Bring the registry to what a definitions file declares',
  description: [
    'In one transaction: all of it or nothing. A definition under a version that exists never changes; what is in the registry and not in the file stays, unless --prune.',
  ],
  arguments: [{ name: 'FILE', help: 'The definitions file (TypeScript or JavaScript).' }],
  options: { prune: { help: 'Retire what is in the registry and not in the file.' } },
  example: 'lockstep apply features.ts',
  async run(context, input) {
    const set = await loadDefinitions(input.argument('FILE'))
    const { plan, revision, changed } = await applyChanges(await context.database(), set, { prune: input.flag('prune') })
    const done = changed ? `Applied ${plan.file}: ${changeCounts(plan)}.` : `Nothing to apply from ${plan.file}: ${changeCounts(plan)}.`
    return {
      json: { changed, revision, plan: planJson(plan) },
      text: [done, planText(plan), `The registry is at revision ${revision}.`].filter((part) => part !== '').join('\n'),
    }
  },
}
