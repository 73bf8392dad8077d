import type { Kysely } from 'kysely'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Actor } from '../../runtime/audit.ts'
import type { CatalogModel } from '../catalog.ts'
import { recordDecision } from './decisions.ts'
import { updateRollout } from './rollout-transaction.ts'

/**
 * Begins the step of a running plan again, with new counts, as when the plan is resumed. A plan that is paused begins
 * its step again when it is resumed.
 *
 * @param why the change of the model that makes the counts so far useless, without a final point
 */
export async function restartStep(
  transaction: Kysely<LockstepTables>,
  { rollout }: Pick<CatalogModel, 'rollout'>,
  { actor }: Actor,
  why: string,
): Promise<void> {
  if (rollout === null || rollout.plan === null || rollout.paused) return
  const after = await updateRollout(transaction, rollout, {})
  await recordDecision(transaction, rollout, after, { action: 'resume', by: actor, reasons: [`${why}: the step begins again.`] })
}
