import type { Kysely, Selectable } from 'kysely'
import { sql } from 'kysely'
import type { JsonValue } from '../../kernel/specs/view-spec.ts'
import type { LockstepTables, RolloutDecisionsTable } from '../../migrations/schema.ts'
import type { Rollout } from './rollout.ts'
import { rolloutOf } from './rollout.ts'

const controllerActions = ['advance', 'promote', 'roll back', 'hold', 'not enough evidence'] as const
/** An action that the controller decides on. */
export type ControllerAction = (typeof controllerActions)[number]
export type DecisionAction = ControllerAction | 'start' | 'share' | 'pause' | 'resume' | 'abort'

/** A decision about a rollout, by whom, and why. */
export interface RolloutDecision {
  readonly id: number
  /** Of the rollout that it was decided about. */
  readonly revision: number
  /** The index of the step; null: the rollout has no plan. */
  readonly step: number | null
  readonly at: Date
  /** Of a look that changes nothing: when the first of equal ones in a row was. */
  readonly since: Date
  readonly action: DecisionAction
  /** A person, a key, or `rollout controller`. */
  readonly by: string
  readonly reasons: readonly string[]
  /** What the controller decided on; null: a person decided. */
  readonly evidence: JsonValue | null
  readonly shareBefore: number | null
  /** null: the rollout has ended. */
  readonly shareAfter: number | null
}

export const controllerActor = 'rollout controller'

interface NewDecision {
  readonly action: DecisionAction
  readonly by: string
  readonly reasons: readonly string[]
  readonly evidence?: JsonValue
}

/** @param before null: it starts */
export async function recordDecision(
  transaction: Kysely<LockstepTables>,
  before: Rollout | null,
  after: Rollout,
  { action, by, reasons, evidence }: NewDecision,
): Promise<void> {
  await transaction
    .insertInto('lockstep.rollout_decisions')
    .values({
      rollout: String(after.id),
      revision: before?.revision ?? 0,
      step: before?.step ?? after.step,
      action,
      decided_by: by,
      reasons: JSON.stringify(reasons),
      evidence: evidence === undefined ? null : JSON.stringify(evidence),
      share_before: before?.share ?? null,
      share_after: after.state === 'running' ? after.share : null,
    })
    .execute()
}

/** Keeps the newest look that changes nothing, of each kind and revision. */
export async function recordLook(
  kysely: Kysely<LockstepTables>,
  rollout: Rollout,
  { action, by, reasons, evidence }: NewDecision,
): Promise<boolean> {
  const result = await sql`
    insert into lockstep.rollout_decisions as known
      (rollout, revision, step, action, decided_by, reasons, evidence, share_before, share_after)
    select id, revision, step, ${action}, ${by}, ${JSON.stringify(reasons)}::json, ${JSON.stringify(evidence ?? null)}::json, share, share
    from lockstep.rollouts where id = ${String(rollout.id)} and revision = ${rollout.revision} and state = 'running' and not paused
    on conflict (rollout, revision, action)
    do update set at = excluded.at, reasons = excluded.reasons, evidence = excluded.evidence,
      since = case when exists (
        select from lockstep.rollout_decisions other
        where other.rollout = known.rollout and other.revision = known.revision and other.at > known.at
      ) then excluded.since else known.since end`.execute(kysely)
  return (result.numAffectedRows ?? 0n) > 0n
}

/** A change of a rollout's share. */
export interface ShareChange {
  /** Epoch microseconds. */
  readonly at: number
  readonly before: number
  readonly after: number
}

/** Oldest first; without the start. */
export async function readShareChanges(kysely: Kysely<LockstepTables>, rollout: number): Promise<ShareChange[]> {
  const rows = await kysely
    .selectFrom('lockstep.rollout_decisions')
    .select(['at', 'share_before', 'share_after'])
    .where('rollout', '=', String(rollout))
    .where('share_before', 'is not', null)
    .where('share_after', 'is not', null)
    .whereRef('share_before', '<>', 'share_after')
    .orderBy('at')
    .orderBy('id')
    .execute()
  return rows.map(({ at, share_before, share_after }) => ({
    at: at.getTime() * 1000,
    before: share_before as number, // not null, as asked
    after: share_after as number,
  }))
}

/** Newest first. */
export async function readDecisions(kysely: Kysely<LockstepTables>, rollout: number, limit = 100): Promise<RolloutDecision[]> {
  const rows = await kysely
    .selectFrom('lockstep.rollout_decisions')
    .selectAll()
    .where('rollout', '=', String(rollout))
    .orderBy('at', 'desc')
    .orderBy('id', 'desc')
    .limit(limit)
    .execute()
  return rows.map(decisionOf)
}

/** A decision with the rollout that it was about; null: the model has no such decision. */
export async function readDecision(
  kysely: Kysely<LockstepTables>,
  model: string,
  id: string,
): Promise<{ readonly rollout: Rollout; readonly decision: RolloutDecision } | null> {
  if (!/^\d{1,18}$/.test(id)) return null
  const row = await kysely.selectFrom('lockstep.rollout_decisions').selectAll().where('id', '=', id).executeTakeFirst()
  if (row === undefined) return null
  const rollout = await kysely
    .selectFrom('lockstep.rollouts')
    .selectAll()
    .where('id', '=', row.rollout)
    .where('model', '=', model)
    .executeTakeFirst()
  return rollout === undefined ? null : { rollout: rolloutOf(rollout), decision: decisionOf(row) }
}

function decisionOf(row: Selectable<RolloutDecisionsTable>): RolloutDecision {
  return {
    id: Number(row.id),
    revision: row.revision,
    step: row.step,
    at: row.at,
    since: row.since,
    action: row.action as DecisionAction, // written by the functions above
    by: row.decided_by,
    reasons: row.reasons as string[],
    evidence: row.evidence as JsonValue | null,
    shareBefore: row.share_before,
    shareAfter: row.share_after,
  }
}
