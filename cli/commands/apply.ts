import { LockstepError } from '../../kernel/errors.ts'
import type { DefinitionId } from '../../kernel/view-spec.ts'
import { forgetView } from '../../materializer/forget-view.ts'
import type { OnlineStore } from '../../online/store.ts'
import { applyChanges } from '../../registry/apply.ts'
import { loadDefinitions } from '../../registry/load-definitions.ts'
import type { Database } from '../../runtime/database.ts'
import type { Command } from '../command.ts'
import { counted } from '../human.ts'
import { changeCounts, planJson, planText } from '../plan-text.ts'

export const applyCommand: Command = {
  name: 'apply',
  summary: 'Bring the registry to what a definitions file declares',
  description: [
    'In one transaction: all of it or nothing. A definition under a version that exists never changes; what is in the registry and not in the file stays, unless --prune.',
    'What the online store holds of a view that is retired is removed. A view that comes back begins empty, and is served once it is materialized.',
  ],
  arguments: [{ name: 'FILE', help: 'The definitions file (TypeScript or JavaScript).' }],
  options: { prune: { help: 'Retire what is in the registry and not in the file.' } },
  example: 'lockstep apply features.ts',
  async run(context, input) {
    const set = await loadDefinitions(input.argument('FILE'))
    const db = await context.database()
    const { plan, revision, changed, online } = await applyChanges(db, set, {
      prune: input.flag('prune'),
      async beforeCommit({ leaving, returning }, transaction) {
        if (leaving.length + returning.length === 0) return
        const store = await context.store() // one that is away stops all of it
        for (const view of returning) await forgetView(transaction, store, view)
      },
    })
    const forgotten = []
    for (const view of online.leaving) forgotten.push({ view, keys: await forgetRetired(db, await context.store(), view) })
    const done = changed ? `Applied ${plan.file}: ${changeCounts(plan)}.` : `Nothing to apply from ${plan.file}: ${changeCounts(plan)}.`
    return {
      json: { changed, revision, plan: planJson(plan), forgotten },
      text: [done, planText(plan), ...forgotten.map(forgottenText), `The registry is at revision ${revision}.`]
        .filter((part) => part !== '')
        .join('\n'),
    }
  },
}

async function forgetRetired(db: Database, store: OnlineStore, view: DefinitionId): Promise<number | null> {
  try {
    return await forgetView(db, store, view)
  } catch (cause) {
    if (!(cause instanceof LockstepError)) throw cause
    throw new LockstepError(
      cause.code,
      `The file is applied, but the online store still holds the retired view "${view}": ${cause.message} Nothing serves it: if the view comes back, it is removed first.`,
      { cause },
    )
  }
}

function forgottenText({ view, keys }: { readonly view: DefinitionId; readonly keys: number | null }): string {
  if (keys === null) return `note: the online store holds "${view}" from another database, which stays`
  return `Removed ${view} from the online store: ${counted(keys, 'key')}.`
}
