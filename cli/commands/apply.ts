import { LockstepError } from '../../kernel/errors.ts'
import type { DefinitionId } from '../../kernel/view-spec.ts'
import { forgetView, isOurs } from '../../materializer/forget-view.ts'
import type { Removal } from '../../materializer/removals.ts'
import { hasRemovals, pendingRemovals, requestRemoval, workOnRemovals } from '../../materializer/removals.ts'
import type { OnlineStore } from '../../online/store.ts'
import { applyChanges } from '../../registry/apply.ts'
import { loadDefinitions } from '../../registry/load-definitions.ts'
import type { Database } from '../../runtime/database.ts'
import { actorOf, reasonOption } from '../actor.ts'
import type { Command } from '../command.ts'
import { counted } from '../human.ts'
import { changeCounts, planJson, planText } from '../plan-text.ts'

/** How long apply itself removes keys. */
const workMs = 2_000

export const applyCommand: Command = {
  name: 'apply',
  summary: 'Bring the registry to what a definitions file declares',
  description: [
    'In one transaction: all of it or nothing. A definition under a version that exists never changes; what is in the registry and not in the file stays, unless --prune.',
    'What the online store holds of a view that is retired is removed, in the background where it is much. A view that comes back begins empty, and is served once it is materialized.',
  ],
  arguments: [{ name: 'FILE', help: 'The definitions file (TypeScript or JavaScript).' }],
  options: {
    prune: { help: 'Retire what is in the registry and not in the file.' },
    'break-models': { help: 'Apply it also where versions of models that are served no longer fit.' },
    reason: reasonOption,
  },
  example: 'lockstep apply features.ts',
  async run(context, input) {
    const set = await loadDefinitions(input.argument('FILE'))
    const db = await context.database()
    const foreign: DefinitionId[] = []
    const { plan, revision, changed } = await applyChanges(db, set, {
      prune: input.flag('prune'),
      breakModels: input.flag('break-models'),
      by: actorOf(input),
      async beforeCommit({ leaving, returning }, transaction) {
        if (leaving.length + returning.length === 0) return
        const store = await context.store() // one that is away stops all of it
        for (const view of returning) await forgetView(transaction, store, view)
        for (const view of leaving) {
          if (await isOurs(transaction, store, view)) await requestRemoval(transaction, await store.identity(), view)
          else foreign.push(view)
        }
      },
    })
    const removals = !(await hasRemovals(db))
      ? { removed: [], removing: [] }
      : await beginRemovals(db, await context.store(), context.signal)
    const done = changed ? `Applied ${plan.file}: ${changeCounts(plan)}.` : `Nothing to apply from ${plan.file}: ${changeCounts(plan)}.`
    return {
      json: { changed, revision, plan: planJson(plan), ...removals, foreign },
      text: [done, planText(plan), ...removalsText(removals), ...foreign.map(foreignText), `The registry is at revision ${revision}.`]
        .filter((part) => part !== '')
        .join('\n'),
    }
  },
}

interface Removals {
  readonly removed: readonly Removal[]
  readonly removing: readonly Removal[]
}

/** Removes what retired views left in the store, for a moment; on the embedded database, which no worker shares, to the end. */
async function beginRemovals(db: Database, store: OnlineStore, signal: AbortSignal): Promise<Removals> {
  const bound = db.kind === 'pglite' ? {} : { forMs: workMs }
  try {
    const removed = await workOnRemovals(db, store, { waitMs: workMs, signal, ...bound })
    return { removed, removing: await pendingRemovals(db, await store.identity()) }
  } catch (cause) {
    if (!(cause instanceof LockstepError)) throw cause
    throw new LockstepError(
      cause.code,
      `The file is applied, but the online store still holds retired views: ${cause.message} Nothing serves them, and a worker or the next "lockstep apply" removes them.`,
      { cause },
    )
  }
}

function removalsText({ removed, removing }: Removals): string[] {
  return [
    ...removed.map(({ view, removed: keys }) => `Removed ${view} from the online store: ${counted(keys, 'key')}.`),
    ...removing.map(
      ({ view, removed: keys }) =>
        `${view} is being removed from the online store, ${counted(keys, 'key')} so far: a worker goes on with it.`,
    ),
  ]
}

function foreignText(view: DefinitionId): string {
  return `note: the online store holds "${view}" from another database, which stays`
}
