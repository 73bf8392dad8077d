import { LockstepError } from '../../kernel/errors.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Kysely } from 'kysely'
import type { Actor } from '../../runtime/audit.ts'
import { recordAudit } from '../../runtime/audit.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { changeTransaction } from '../change-transaction.ts'
import type { OnlineChanges } from './apply.ts'
import { onlineLeaving } from './apply.ts'
import type { KeptDefinition } from './change-plan.ts'
import type { Definition } from '../definition.ts'
import { definitionKey, displayName, labelOf, currentDefinitions } from '../definition.ts'
import { readRunningExperiments } from '../experiments/experiment.ts'
import { didYouMean } from '../../kernel/did-you-mean.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import { bumpRevision, readRevision } from '../revision.ts'
import { prunable } from './prunable.ts'
import { retire } from './store-definitions.ts'
import { modelUses, usersByDefinition } from './usage.ts'

export interface PrunedDefinitions {
  readonly removed: readonly Definition[]
  readonly kept: readonly KeptDefinition[]
  readonly revision: number
  readonly online: OnlineChanges
}

/**
 * Retires the named definitions that nothing else needs. Definitions that are still needed stay, and the result names
 * everything that needs them.
 *
 * @param names `airport_delays@1`; without a version if the kind has none
 * @param options.dryRun whether only to find what would be retired
 * @throws LockstepError `UNKNOWN_DEFINITION`, and what `beforeCommit` throws, which rolls back
 */
export async function pruneDefinitions(
  db: Database,
  names: readonly string[],
  by: Actor,
  beforeCommit: (online: OnlineChanges, db: Pick<Database, 'kysely'>) => Promise<void>,
  { dryRun = false } = {},
): Promise<PrunedDefinitions> {
  return await changeTransaction(db, dryRun, async (transaction) => {
    const stored = await currentDefinitions(transaction)
    const wanted = new Set(names.flatMap((name) => definitionsNamed(stored, name)))
    const staying = stored.filter((definition) => !wanted.has(definition))
    const { removed, kept } = prunable([...wanted], staying, await modelUses(transaction), await readRunningExperiments(transaction))
    await retire(transaction, removed)
    const revision = removed.length > 0 ? await bumpRevision(transaction) : await readRevision(transaction)
    if (removed.length > 0) {
      const changes = removed.map((definition) => `removed ${definition.kind} ${labelOf(definition)}`)
      await recordAudit({ kysely: transaction }, by, {
        action: 'prune',
        subject: removed.map(labelOf).join(' '),
        after: { revision, changes },
      })
    }
    const online = { leaving: onlineLeaving(removed), returning: [] }
    if (!dryRun) await beforeCommit(online, { kysely: transaction })
    return { removed, kept, revision, online }
  })
}

function definitionsNamed(stored: readonly Definition[], name: string): Definition[] {
  const found = stored.filter((definition) => labelOf(definition) === name)
  if (found.length > 0) return found
  const versions = stored.filter((definition) => definition.name === name).map(labelOf)
  const hint = versions.length === 0 ? didYouMean(name, stored.map(labelOf)) : ` Name the version: ${quotedNames(versions)}.`
  throw new LockstepError(
    'UNKNOWN_DEFINITION',
    `There is nothing called "${name}" in the registry.${hint === '' ? ' "lockstep list" lists everything.' : hint}`,
    { details: { name } },
  )
}

/**
 * The definitions that nothing in the registry needs any more once one model version no longer needs this service: the
 * service, and the definitions that it is made of.
 */
export async function freedBy(transaction: Kysely<LockstepTables>, service: string): Promise<Definition[]> {
  const stored = await currentDefinitions(transaction)
  const uses = await modelUses(transaction)
  const byKey = new Map(stored.map((definition) => [definitionKey(definition), definition]))
  const root = byKey.get(`service ${service}`)
  if (root === undefined) return []
  const users = usersByDefinition(stored, uses)
  const under = stored.filter((each) => each === root || users.get(definitionKey(each))?.has(displayName(root)) === true)
  return [
    ...prunable(
      under,
      stored.filter((each) => !under.includes(each)),
      uses,
    ).removed,
  ]
}
