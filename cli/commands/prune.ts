import type { DefinitionId } from '../../kernel/specs/view-spec.ts'
import type { Removals } from '../../materializer/change-registry.ts'
import { prunedJson, pruneWithStates } from '../../materializer/change-registry.ts'
import type { DefinitionKind } from '../../migrations/schema.ts'
import type { KeptDefinition } from '../../registry/changes/change-plan.ts'
import { kindNames } from '../../registry/definition.ts'
import { pruneAnswer } from '../../serving/protocols/http/registry/registry-schemas.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import { deleteInSteps, deleteOptions } from '../delete-in-steps.ts'
import type { Input } from '../input.ts'
import { keptText } from '../text/plan-details.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { removalsText } from '../text/removals-text.ts'

export const pruneCommand: Command = {
  name: 'prune',
  summary: 'Retire definitions that nothing needs any more',
  description: [
    'Keeps definitions that something else needs, lists what needs them, and exits with 1. Definitions that need only each other are retired together if you name all of them.',
    'Deletes the online states of retired views. A retired name and version stay taken. To restore a definition, apply a file that declares it.',
  ],
  arguments: [
    {
      name: 'NAME',
      help: 'The definitions to retire: a view, on-demand view or service with its version, or a source, entity or model.',
      takes: 'some',
    },
  ],
  options: { ...deleteOptions, reason: reasonOption, server: serverOption },
  example: 'lockstep prune flight_features@1 airport_delays@1',
  run: (context, input) =>
    deleteInSteps(context, input, {
      question: 'Retire them?',
      run: (dryRun) => prune(context, input, dryRun),
      text: ({ pruned, kept, online, ...removals }, done) =>
        [
          ...pruned.map(({ kind, label }) => `${done ? 'Retired' : 'This retires'} the ${kindNames[kind]} ${label}.`),
          ...kept.map((each) => `${done ? 'Kept' : 'This keeps'} the ${keptText(each)}`),
          ...(done ? removalsText(removals) : online.map((view) => `This deletes the states of ${view} from the online store.`)),
        ].join('\n'),
      exitCode: ({ kept }) => (kept.length > 0 ? 1 : 0),
    }),
}

interface Pruned extends Removals {
  readonly pruned: readonly { readonly kind: DefinitionKind; readonly name: string; readonly version: number; readonly label: string }[]
  readonly kept: readonly KeptDefinition[]
  readonly revision: number
  /** The views whose states are deleted from the online store. */
  readonly online: readonly DefinitionId[]
}

async function prune(context: Context, input: Input, dryRun: boolean): Promise<Pruned> {
  const [names, by] = [input.arguments('NAME'), actorOf(input)]
  const server = serverOf(context, input)
  if (server !== null) {
    const { requestId: _, ...pruned } = await server.ask('POST', '/v1/registry/prune', { names, dryRun, reason: by.reason }, pruneAnswer)
    return pruned
  }
  const tools = { db: await context.database(), store: context.store, signal: context.signal }
  return prunedJson(await pruneWithStates(tools, names, by, { dryRun }))
}
