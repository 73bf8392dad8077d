import { basename } from 'node:path'
import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import { LockstepError } from '../../kernel/errors.ts'
import type { DefinitionId } from '../../kernel/specs/view-spec.ts'
import { definitionId } from '../../kernel/specs/view-spec.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Actor, AuditEntry } from '../../runtime/audit.ts'
import { recordAudit, unknownActor } from '../../runtime/audit.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sqlState } from '../../runtime/postgres/relation.ts'
import type { Change, ChangePlan } from './change-plan.ts'
import type { DefinitionComparison } from './compare.ts'
import type { Definition } from '../definition.ts'
import type { DefinitionSet } from '../load/definition-set.ts'
import { requireDevelopment } from './development.ts'
import type { PlanOptions } from './plan.ts'
import { growCoverage } from '../experiments/check-running.ts'
import type { TableChange } from './owned-table.ts'
import { planOn } from './plan.ts'
import { bumpRevision, lockRegistry } from '../revision.ts'
import { retire, storeCode, storeDefinitions } from './store-definitions.ts'

export interface ApplyOptions extends PlanOptions {
  /** Who applies it. */
  readonly by?: Actor
  /** How long it may wait for the lock on a source's table, milliseconds. Default: 10,000. */
  readonly lockTimeoutMs?: number
  /** Called in the transaction before anything is read. It must use only `db`. */
  readonly beforePlan?: (db: Kysely<LockstepTables>) => Promise<void>
  /** Called after all writes and before the commit. If it throws, nothing is applied. It must use only `db`. */
  readonly beforeCommit?: (online: OnlineChanges, db: Pick<Database, 'kysely'>) => Promise<void>
}

/** Changes that the caller must make in the online store. */
export interface OnlineChanges {
  /** Online views that are retired. */
  readonly leaving: readonly DefinitionId[]
  /** Views that were retired or offline and are now online. */
  readonly returning: readonly DefinitionId[]
}

export interface AppliedChanges {
  /** What was done. */
  readonly plan: ChangePlan
  /** The registry's revision afterwards; the plan's revision if nothing changed. */
  readonly revision: number
  /** Whether anything was written. */
  readonly changed: boolean
  readonly online: OnlineChanges
}

/**
 * Changes the registry, and the source tables that Lockstep owns, to what the file declares. One transaction makes all
 * changes, and only one `apply` runs at a time. Definitions that are not in the file stay, unless `prune` is set, which
 * retires those that nothing needs. With `replace`, a changed definition takes the place of its former self.
 *
 * @throws LockstepError `FORBIDDEN` for `replace` outside of a development store; the plan's first problem
 *   (`VERSION_CHANGED`, `SOURCE_MISSING`, `UNKNOWN_COLUMN`, `SOURCE_TYPE_MISMATCH`, `BREAKS_MODEL`, …); if there are
 *   several, the message and `details.problems` contain all of them
 */
export async function applyChanges(db: Database, set: DefinitionSet, options: ApplyOptions = {}): Promise<AppliedChanges> {
  return await db.kysely.transaction().execute(async (transaction) => {
    await lockRegistry(transaction)
    if (options.replace === true) await requireDevelopment(transaction)
    await options.beforePlan?.(transaction)
    const { plan, comparisons, removed, tables, running } = await planOn(transaction, set, options)
    refuse(plan)
    await changeTables(transaction, tables, options.lockTimeoutMs)
    const isCodeNew = await storeCode(transaction, set.code)
    const areDefinitionsNew = await storeDefinitions(transaction, comparisons, db.signing)
    await growCoverage(transaction, comparisons, running)
    await retire(transaction, removed)
    const changed = isCodeNew || areDefinitionsNew || removed.length > 0 || plan.tables.length > 0
    const revision = changed ? await bumpRevision(transaction) : plan.revision
    if (changed) await recordAudit({ kysely: transaction }, options.by ?? unknownActor, audited(plan, revision))
    const online = onlineChanges(comparisons, removed)
    await options.beforeCommit?.(online, { kysely: transaction })
    return { plan, changed, revision, online }
  })
}

/**
 * Runs the statements on tables. It does not wait long for a lock, because all later statements on the table would wait
 * behind it.
 *
 * @throws LockstepError `BUSY` if another transaction uses a table meanwhile
 */
async function changeTables(transaction: Kysely<LockstepTables>, tables: readonly TableChange[], lockTimeoutMs = 10_000): Promise<void> {
  const changing = tables.filter(({ statements }) => statements.length > 0)
  if (changing.length === 0) return
  await sql.raw(`set local lock_timeout = ${lockTimeoutMs}`).execute(transaction)
  for (const { relation, statements } of changing) {
    try {
      for (const statement of statements) await sql.raw(statement).execute(transaction)
    } catch (cause) {
      if (sqlState(cause) !== '55P03') throw cause
      throw new LockstepError(
        'BUSY',
        `The table ${relation} cannot be changed: another transaction used it for ${lockTimeoutMs / 1000} s. Nothing was applied. Apply again when long transactions on it have ended.`,
        { cause, details: { table: relation } },
      )
    }
  }
  await sql.raw('set local lock_timeout to default').execute(transaction)
}

function audited(plan: ChangePlan, revision: number): AuditEntry {
  const moved = plan.changes.filter(({ status }) => status !== 'unchanged' && status !== 'absent')
  const fieldsOf = (side: 'was' | 'now') => (change: Change) => ({
    [`${change.kind} ${change.label}`]: Object.fromEntries(change.differences.map((difference) => [difference.path, difference[side]])),
  })
  const differing = moved.filter(({ differences }) => differences.length > 0)
  return {
    action: 'apply',
    subject: basename(plan.file),
    before: { revision: plan.revision, ...Object.assign({}, ...differing.map(fieldsOf('was'))) },
    after: {
      revision,
      changes: moved.map(({ kind, label, status }) => `${status} ${kind} ${label}`),
      tables: plan.tables.map(({ relation }) => relation),
      ...Object.assign({}, ...differing.map(fieldsOf('now'))),
    },
  }
}

function onlineChanges(comparisons: readonly DefinitionComparison[], removed: readonly Definition[]): OnlineChanges {
  const returning = comparisons.flatMap(({ declared, stored }) => {
    if (stored === null || !isOnlineView(declared) || (!stored.retired && isOnlineView(stored))) return []
    return [definitionId(declared)]
  })
  return { leaving: onlineLeaving(removed), returning }
}

/** The views that leave the online store because they are retired. */
export function onlineLeaving(removed: readonly Definition[]): DefinitionId[] {
  return removed.filter(isOnlineView).map(definitionId)
}

function isOnlineView({ kind, operational }: Definition): boolean {
  return kind === 'view' && operational.online === true
}

function refuse(plan: ChangePlan): void {
  const [first, ...more] = plan.problems
  if (first === undefined) return
  if (more.length === 0) throw first
  throw new LockstepError(first.code, plan.problems.map(({ message }) => message).join('\n'), {
    details: { problems: plan.problems.map(({ code, message, details }) => ({ code, message, details })) },
  })
}
