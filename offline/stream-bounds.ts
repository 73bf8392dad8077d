import type { TimeRule, ViewPlan } from '../kernel/view-plan.ts'
import { maxMicros } from '../kernel/value-type.ts'
import type { Snapshot } from '../runtime/database.ts'
import type { SourceStreamOptions } from './source-stream.ts'
import { readSourceTable, sourceRelation } from './source-table.ts'
import type { Spine } from './spine/spine.ts'

/** A spine is worth looking its keys up for each source row where the source has this many times its rows. */
const pruneKeysFrom = 4

/** What of the plans' source a spine can need at all. */
export async function sourceBounds(snapshot: Snapshot, plans: readonly ViewPlan[], spine: Spine, keysIn: string, rule: TimeRule): Promise<SourceStreamOptions> {
  if (spine.firstTime === null || spine.lastTime === null) return { rule, keys: [] }
  const [plan] = plans
  const rows = plan === undefined ? 0 : await estimatedRows(snapshot, plan)
  return {
    rule,
    until: spine.lastTime,
    ...eventBound(plans, spine.firstTime),
    ...(rows >= spine.rows * pruneKeysFrom ? { keysIn } : {}),
  }
}

/** The earliest event that matters to any of the plans from `firstTime` on, where there is such a bound. */
export function eventBound(plans: readonly ViewPlan[], firstTime: number): { readonly eventFrom?: number } {
  const eventFrom = firstTime - Math.max(...plans.map((plan) => plan.horizonMicros))
  return eventFrom >= -maxMicros ? { eventFrom } : {}
}

async function estimatedRows(snapshot: Snapshot, plan: ViewPlan): Promise<number> {
  await readSourceTable(snapshot, plan.spec.source)
  const rows = await snapshot.query<{ 'QUERY PLAN': unknown }>(`EXPLAIN (FORMAT JSON) SELECT FROM ${sourceRelation(plan.spec.source)} s`)
  return planRows(rows[0]?.['QUERY PLAN'])
}

function planRows(explained: unknown): number {
  const parsed: unknown = typeof explained === 'string' ? JSON.parse(explained) : explained
  const top: unknown = Array.isArray(parsed) ? parsed[0] : undefined
  const plan: unknown = typeof top === 'object' && top !== null && 'Plan' in top ? top.Plan : undefined
  const rows: unknown = typeof plan === 'object' && plan !== null && 'Plan Rows' in plan ? plan['Plan Rows'] : undefined
  return typeof rows === 'number' ? rows : 0
}
