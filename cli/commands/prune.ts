import type { DefinitionId } from '../../kernel/view-spec.ts'
import { kindNames, labelOf } from '../../registry/definition.ts'
import { pruneDefinitions } from '../../registry/prune.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { changeOnline, removalsText, removeOnline } from '../online-removals.ts'
import { keptText } from '../plan-text.ts'

export const pruneCommand: Command = {
  name: 'prune',
  summary: 'Retire definitions that nothing needs any more',
  description: [
    'What something else needs stays, and is listed with what needs it: then the exit code is 1. Things that need only each other go together when all are named.',
    'What the online store holds of a retired view is removed. A retired name and version stay taken; the same definition comes back with "apply" of a file that declares it.',
  ],
  arguments: [
    {
      name: 'NAME',
      help: 'What to retire: a view, an on-demand view or a service with its version, or a source, an entity or a model.',
      takes: 'some',
    },
  ],
  options: { reason: reasonOption },
  example: 'lockstep prune flight_features@1 airport_delays@1',
  async run(context, input) {
    let foreign: readonly DefinitionId[] = []
    const { removed, kept, revision } = await pruneDefinitions(
      await context.database(),
      input.arguments('NAME'),
      actorOf(input),
      async (online, transaction) => {
        foreign = await changeOnline(context, online, transaction)
      },
    )
    const removals = await removeOnline(context)
    const pruned = removed.map(({ kind, name, version }) => ({ kind, name, version, label: labelOf({ name, version }) }))
    return {
      json: { pruned, kept, revision, ...removals, foreign },
      text: [
        ...pruned.map(({ kind, label }) => `Retired the ${kindNames[kind]} ${label}.`),
        ...kept.map((each) => `Kept the ${keptText(each)}`),
        ...removalsText(removals, foreign),
      ].join('\n'),
      exitCode: kept.length > 0 ? 1 : 0,
    }
  },
}
