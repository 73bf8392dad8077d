import type { Kysely } from 'kysely'
import type { JsonValue } from '../../kernel/specs/view-spec.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import { recordAudit } from '../../runtime/audit.ts'
import type { AuditAction } from '../../runtime/audit.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { readCatalog } from '../catalog.ts'
import { championAlias } from '../models/model-aliases.ts'
import type { ChangeOptions } from '../change-transaction.ts'
import { pointAlias } from '../models/promote.ts'
import { requireServable } from '../models/require-servable.ts'
import { bumpRevision, lockRegistry } from '../revision.ts'
import type { ControllerAction } from './decisions.ts'
import { controllerActor, recordDecision, recordLook } from './decisions.ts'
import type { Rollout } from './rollout.ts'
import { rolloutOf } from './rollout.ts'
import { endRollout, auditedRouting, subjectOf, updateRollout } from './rollout-transaction.ts'

export interface ControllerDecision {
  readonly action: ControllerAction
  readonly reasons: readonly string[]
}

const audited = { advance: 'rollout.advance', promote: 'rollout.promote', 'roll back': 'rollout.rollback' } as const satisfies Record<
  string,
  AuditAction
>

/**
 * Does what the controller has decided, and stores the decision with its evidence, in one transaction. It does nothing
 * if the rollout has changed since the evidence was gathered: of two controllers one acts.
 *
 * @param seen the rollout that was decided about
 * @returns whether it was done
 */
export async function actOnDecision(
  db: Database,
  seen: Rollout,
  { action, reasons }: ControllerDecision,
  evidence: JsonValue,
  { beforeCommit }: ChangeOptions = {},
): Promise<boolean> {
  const decision = { action, by: controllerActor, reasons, evidence }
  if (action === 'hold' || action === 'not enough evidence') return await recordLook(db.kysely, seen, decision)
  return await db.kysely.transaction().execute(async (transaction) => {
    await lockRegistry(transaction)
    const row = await transaction
      .selectFrom('lockstep.rollouts')
      .selectAll()
      .where('id', '=', String(seen.id))
      .where('revision', '=', seen.revision)
      .where('state', '=', 'running')
      .where('paused', '=', false)
      .forUpdate()
      .executeTakeFirst()
    if (row === undefined) return false
    const before = rolloutOf(row)
    const by = { actor: controllerActor, reason: reasons.join(' ') }
    const after = await act(db, transaction, before, action, by)
    await recordDecision(transaction, before, after, decision)
    const entry = {
      action: audited[action],
      subject: subjectOf(before),
      before: auditedRouting(before),
      after: { ...auditedRouting(after), state: after.state },
    }
    await recordAudit({ kysely: transaction }, by, entry)
    await bumpRevision(transaction)
    beforeCommit?.()
    return true
  })
}

async function act(
  db: Database,
  transaction: Kysely<LockstepTables>,
  before: Rollout,
  action: Exclude<ControllerAction, 'hold' | 'not enough evidence'>,
  by: { readonly actor: string; readonly reason: string },
): Promise<Rollout> {
  switch (action) {
    case 'roll back':
      return await endRollout(transaction, before, 'rolled back')
    case 'advance': {
      const step = (before.step ?? 0) + 1
      const next = before.plan?.steps[step]
      if (next === undefined) throw new RangeError(`The plan has no step ${step + 1}.`)
      return await updateRollout(transaction, before, { step, share: next.share })
    }
    case 'promote': {
      const catalog = await readCatalog(transaction, db.signing)
      const model = catalog.model(before.model)
      requireServable(catalog, model, before.version, 'it was not promoted')
      await pointAlias(transaction, model, championAlias, before.version, by)
      return await endRollout(transaction, before, 'promoted')
    }
    default:
      return action satisfies never
  }
}
