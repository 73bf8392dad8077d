import type { Removals } from '../../materializer/change-registry.ts'
import { applyWithStates } from '../../materializer/change-registry.ts'
import type { ApplyOptions } from '../../registry/changes/apply.ts'
import type { PlanJson } from '../../registry/changes/change-plan.ts'
import { planJson } from '../../registry/changes/change-plan.ts'
import type { DefinitionSet } from '../../registry/load/definition-set.ts'
import { loadDefinitions } from '../../registry/load/load-definitions.ts'
import { portableDefinitions } from '../../registry/load/portable-definitions.ts'
import { readVersion } from '../../runtime/version.ts'
import { applyAnswer } from '../../serving/protocols/http/registry/registry-schemas.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import type { Context } from '../context.ts'
import { definitionsArgument, definitionsFile } from '../definitions-argument.ts'
import { changeCounts, materializeNext, planText, screenOptions } from '../text/plan-text.ts'
import type { Server } from '../remote/server.ts'
import { serverOf, serverOption } from '../remote/server-option.ts'
import { removalsText } from '../text/removals-text.ts'

export const applyCommand: Command = {
  name: 'apply',
  summary: 'Store a definitions file in the registry',
  description: [
    'Applies the complete file in one transaction, or nothing. An existing version of a definition never changes. Definitions that are not in the file stay, unless you pass --prune.',
    'The states of retired views are deleted from the online store, in the background if there are many. A view that is restored starts empty, and is served once it is materialized.',
  ],
  arguments: [definitionsArgument],
  options: {
    prune: { help: 'Retire definitions that are not in the file and that nothing needs.' },
    'break-models': { help: 'Apply the file even if served model versions no longer fit it.' },
    verbose: { help: 'Show every field, state size, note and statement.' },
    reason: reasonOption,
    server: serverOption,
  },
  example: 'lockstep apply',
  async run(context, input) {
    const set = await loadDefinitions(definitionsFile(context, input))
    const options = { prune: input.flag('prune'), breakModels: input.flag('break-models') }
    const server = serverOf(context, input)
    const { plan, changed, revision, removals } =
      server === null
        ? await applyHere(context, set, { ...options, by: actorOf(input) })
        : await applyThere(server, set, { ...options, reason: input.text('reason') })
    const file = `${plan.file}${server === null ? '' : ` at ${server.url}`}`
    const done = changed ? `Applied ${file}: ${changeCounts(plan)}.` : `Nothing to apply from ${file}: ${changeCounts(plan)}.`
    const at = `The registry is at revision ${revision}.`
    // "materialize" takes no server: its workers fill new views
    const next = materializeNext(plan, { onlyRebuilds: server !== null })
    const nextText = server === null ? 'Next' : 'Next, with access to the database'
    const removed = removalsText(removals)
    return {
      json: { changed, revision, plan, ...removals },
      text:
        !changed && removed.length === 0
          ? `${done} ${at}`
          : [
              done,
              planText(plan, { verbose: input.flag('verbose'), ...screenOptions() }),
              ...removed,
              `${at}${next === null ? '' : ` ${nextText}: ${next}`}`,
            ]
              .filter((part) => part !== '')
              .join('\n'),
    }
  },
}

interface Applied {
  readonly plan: PlanJson
  readonly changed: boolean
  readonly revision: number
  readonly removals: Removals
}

async function applyHere(context: Context, set: DefinitionSet, options: ApplyOptions): Promise<Applied> {
  const tools = { db: await context.database(), store: context.store, signal: context.signal }
  const { alertPrivateAddresses: privateAddresses, logShares } = context.config
  const { plan, ...applied } = await applyWithStates(tools, set, { ...options, privateAddresses, logShares })
  return { ...applied, plan: planJson(plan) }
}

async function applyThere(server: Server, set: DefinitionSet, options: object): Promise<Applied> {
  const body = { definitions: portableDefinitions(set, readVersion()), ...options }
  const { plan, changed, revision, ...removals } = await server.ask('POST', '/v1/registry/apply', body, applyAnswer)
  return { plan, changed, revision, removals }
}
