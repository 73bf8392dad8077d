import type { DefinitionId } from '../../kernel/view-spec.ts'
import { kindNames, labelOf } from '../../registry/definition.ts'
import { pruneDefinitions } from '../../registry/prune.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { changeOnline, removalsText, removeOnline } from '../online-removals.ts'
import { keptText } from '../plan-details.ts'

export const pruneCommand: Command = {
  name: 'prune',
  summary: 'Retire definitions that nothing needs any more',
  description: [
    'Keeps definitions that something else needs, lists them with what needs them, and exits with 1. Definitions that need only each other are retired together if you name all of them.',
    'Deletes the online states of retired views. A retired name and version stay taken. To restore a definition, apply a file that declares it.',
  ],
  arguments: [
    {
      name: 'NAME',
      help: 'The definitions to retire: a view, on-demand view or service with its version, or a source, entity or model.',
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
