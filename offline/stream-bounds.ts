import { maxMicros } from '../kernel/value-type.ts'
import type { TimeRule, ViewPlan } from '../kernel/view-plan.ts'
import type { Snapshot } from '../runtime/database.ts'
import { explain } from './explain.ts'
import type { SourceStreamOptions } from './source-stream.ts'
import { readSourceTable } from './source-table.ts'
import type { Spine } from './spine/spine.ts'

/** A spine is worth looking its keys up for each source row where the source has this many times its rows. */
const pruneKeysFrom = 4

/** What of the plans' source a spine can need at all, which saves reading the rest, and which of it is settled, so that it can be read again. */
export async function sourceBounds(
  snapshot: Snapshot,
  plans: readonly ViewPlan[],
  spine: Spine,
  keysIn: string,
  rule: TimeRule,
): Promise<SourceStreamOptions> {
  const [plan] = plans
  if (plan === undefined || spine.firstTime === null || spine.lastTime === null) return { rule, keys: [] }
  const { relation, hasXid } = await readSourceTable(snapshot, plan.spec.source)
  const { rows } = await explain(snapshot, `SELECT FROM ${relation} s`)
  const pruned = rows >= spine.rows * pruneKeysFrom ? { keysIn } : {}
  const arrival = hasXid ? { arrival: { from: 0, to: snapshot.xmin } } : {}
  return { rule, until: spine.lastTime, ...arrival, ...eventBound(plans, spine.firstTime), ...pruned }
}

/** The earliest event that matters to any of the plans from `firstTime` on, where there is such a bound. */
export function eventBound(plans: readonly ViewPlan[], firstTime: number): { readonly eventFrom?: number } {
  const eventFrom = firstTime - Math.max(...plans.map((plan) => plan.horizonMicros))
  return eventFrom >= -maxMicros ? { eventFrom } : {}
}
