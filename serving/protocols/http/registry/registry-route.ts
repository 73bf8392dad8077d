import { applyWithStates, prunedJson, pruneWithStates } from '../../../../materializer/change-registry.ts'
import { planJson } from '../../../../registry/changes/change-plan.ts'
import { planChanges } from '../../../../registry/changes/plan.ts'
import { readPortableDefinitions } from '../../../../registry/load/portable-definitions.ts'
import { readVersion } from '../../../../runtime/version.ts'
import { actorOf, jsonAnswer } from '../call.ts'
import { applyAnswer, applyBody, planAnswer, planBody, pruneAnswer, pruneBody } from './registry-schemas.ts'
import { asRefusal } from '../response/refusal.ts'
import { checkedRoute } from '../checked-route.ts'
import type { Route } from '../route.ts'

/** Compiled definitions have the code of all transforms. */
const definitionsLimitBytes = 64 * 2 ** 20

/** The routes that change the registry. Stored code is run by every server, so they need the scope of admins. */
export const registryRoutes: readonly Route[] = [
  checkedRoute({
    method: 'POST',
    path: '/v1/registry/plan',
    scope: 'admin',
    summary: 'Show what applying definitions would change',
    tag: 'Registry',
    body: planBody,
    bodyLimitBytes: definitionsLimitBytes,
    answer: planAnswer,
    async handle(call, deps, { body: { definitions, prune = false, breakModels = false } }) {
      const plan = await asRefusal(() => {
        const set = readPortableDefinitions(definitions, readVersion())
        const { privateAddresses, logShares } = deps
        return planChanges(deps.upkeep.database(), set, { prune, breakModels, privateAddresses, logShares })
      })
      return jsonAnswer(call, { plan: planJson(plan) })
    },
  }),
  checkedRoute({
    method: 'POST',
    path: '/v1/registry/apply',
    scope: 'admin',
    summary: 'Store definitions in the registry, all or none',
    tag: 'Registry',
    body: applyBody,
    bodyLimitBytes: definitionsLimitBytes,
    answer: applyAnswer,
    async handle(call, deps, { body: { definitions, prune = false, breakModels = false, reason } }) {
      const tools = { db: deps.upkeep.database(), store: deps.upkeep.store, signal: AbortSignal.timeout(removalMs) }
      const { plan, changed, revision, removals } = await asRefusal(() => {
        const set = readPortableDefinitions(definitions, readVersion())
        const { privateAddresses, logShares } = deps
        return applyWithStates(tools, set, { prune, breakModels, privateAddresses, logShares, by: actorOf(call, reason) })
      })
      const inForce = await deps.reachRevision(revision)
      return jsonAnswer(call, { changed, revision, inForce, plan: planJson(plan), ...removals })
    },
  }),
  checkedRoute({
    method: 'POST',
    path: '/v1/registry/prune',
    scope: 'admin',
    summary: 'Retire definitions that nothing needs any more',
    tag: 'Registry',
    body: pruneBody,
    example: { names: ['airport_delays@1'], dryRun: true },
    answer: pruneAnswer,
    async handle(call, deps, { body: { names, dryRun = false, reason } }) {
      const tools = { db: deps.upkeep.database(), store: deps.upkeep.store, signal: AbortSignal.timeout(removalMs) }
      const pruned = await pruneWithStates(tools, names, actorOf(call, reason), { dryRun })
      if (!dryRun) await deps.reachRevision(pruned.revision)
      return jsonAnswer(call, prunedJson(pruned))
    },
  }),
]

/** How long states of retired views are deleted at most; the rest is left to the next who does it. */
const removalMs = 60_000
