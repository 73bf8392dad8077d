import type { DefinitionId } from '../../kernel/view-spec.ts'
import { applyChanges } from '../../registry/apply.ts'
import { loadDefinitions } from '../../registry/load-definitions.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { changeOnline, removalsText, removeOnline } from '../online-removals.ts'
import { changeCounts, planJson, planText } from '../plan-text.ts'

export const applyCommand: Command = {
  name: 'apply',
  summary: 'Bring the registry to what a definitions file declares',
  description: [
    'In one transaction: all of it or nothing. A definition under a version that exists never changes; what is in the registry and not in the file stays, unless --prune.',
    'What the online store holds of a view that is retired is removed, in the background where it is much. A view that comes back begins empty, and is served once it is materialized.',
  ],
  arguments: [{ name: 'FILE', help: 'The definitions file (TypeScript or JavaScript).' }],
  options: {
    prune: { help: 'Retire what is in the registry and not in the file, and that nothing needs.' },
    'break-models': { help: 'Apply it also where versions of models that are served no longer fit.' },
    reason: reasonOption,
  },
  example: 'lockstep apply features.ts',
  async run(context, input) {
    const set = await loadDefinitions(input.argument('FILE'))
    const db = await context.database()
    let foreign: readonly DefinitionId[] = []
    const { plan, revision, changed } = await applyChanges(db, set, {
      prune: input.flag('prune'),
      breakModels: input.flag('break-models'),
      by: actorOf(input),
      async beforeCommit(online, transaction) {
        foreign = await changeOnline(context, online, transaction)
      },
    })
    const removals = await removeOnline(context)
    const done = changed ? `Applied ${plan.file}: ${changeCounts(plan)}.` : `Nothing to apply from ${plan.file}: ${changeCounts(plan)}.`
    return {
      json: { changed, revision, plan: planJson(plan), ...removals, foreign },
      text: [done, planText(plan), ...removalsText(removals, foreign), `The registry is at revision ${revision}.`]
        .filter((part) => part !== '')
        .join('\n'),
    }
  },
}
