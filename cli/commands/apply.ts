import type { DefinitionId } from '../../kernel/view-spec.ts'
import { applyChanges } from '../../registry/apply.ts'
import { loadDefinitions } from '../../registry/load-definitions.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { definitionsArgument, definitionsFile } from '../definitions-argument.ts'
import { changeOnline, removalsText, removeOnline } from '../online-removals.ts'
import { changeCounts, materializeNext, planJson, planText, screenOptions } from '../plan-text.ts'

export const applyCommand: Command = {
  name: 'apply',
  summary: 'Store a definitions file in the registry',
  description: [
    'Runs in one transaction: all or nothing. An existing version of a definition never changes. Definitions that are not in the file stay, unless you pass --prune.',
    'The states of retired views are deleted from the online store, in the background if there are many. A view that comes back starts empty and is served when it is materialized.',
  ],
  arguments: [definitionsArgument],
  options: {
    prune: { help: 'Retire definitions that are not in the file and that nothing needs.' },
    'break-models': { help: 'Apply the file even if served model versions no longer fit it.' },
    verbose: { help: 'Show every field, state size, note and statement.' },
    reason: reasonOption,
  },
  example: 'lockstep apply',
  async run(context, input) {
    const set = await loadDefinitions(definitionsFile(context, input))
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
    const at = `The registry is at revision ${revision}.`
    const next = materializeNext(plan)
    const removed = removalsText(removals, foreign)
    return {
      json: { changed, revision, plan: planJson(plan), ...removals, foreign },
      text:
        !changed && removed.length === 0
          ? `${done} ${at}`
          : [
              done,
              planText(plan, { verbose: input.flag('verbose'), ...screenOptions() }),
              ...removed,
              `${at}${next === null ? '' : ` Next: ${next}`}`,
            ]
              .filter((part) => part !== '')
              .join('\n'),
    }
  },
}
