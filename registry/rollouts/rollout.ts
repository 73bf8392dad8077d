import type { Kysely, Selectable } from 'kysely'
import type { LockstepTables, RolloutState, RolloutsTable } from '../../migrations/schema.ts'
import type { RolloutPlan } from './plan-schema.ts'

/** The unit of a rollout that assigns requests, and not entities: all rows of a request get the same version. */
export const requestUnit = 'request-id'

/** A candidate version of a model and its share of the requests that name no version. */
export interface Rollout {
  readonly id: number
  readonly model: string
  /** The candidate. */
  readonly version: number
  readonly state: RolloutState
  /** From 0 to 1: the candidate has the units whose place is below it, so a unit that is in stays in as it grows. */
  readonly share: number
  /** The field of the entities that decides, or `requestUnit`. */
  readonly unit: string
  /** Of `unitPlace`. Each rollout has its own, so that no unit always gets the candidate first. */
  readonly salt: string
  /** null: the share is changed by hand. */
  readonly plan: RolloutPlan | null
  /** The index of its step; null: there is no plan. */
  readonly step: number | null
  /** Whether the controller leaves it alone. */
  readonly paused: boolean
  /** Grows with each change. Evidence is of one revision. */
  readonly revision: number
  /** When the revision began. */
  readonly since: Date
  readonly startedBy: string
  readonly startedAt: Date
  readonly endedAt: Date | null
}

/** The running rollout of each model. */
export async function readRunningRollouts(handle: Kysely<LockstepTables>): Promise<ReadonlyMap<string, Rollout>> {
  const rows = await handle.selectFrom('lockstep.rollouts').selectAll().where('state', '=', 'running').execute()
  return new Map(rows.map((row) => [row.model, rolloutOf(row)]))
}

/** The running rollout of a model, or its last one; null: it had none. */
export async function readLastRollout(handle: Kysely<LockstepTables>, model: string): Promise<Rollout | null> {
  const row = await handle
    .selectFrom('lockstep.rollouts')
    .selectAll()
    .where('model', '=', model)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row === undefined ? null : rolloutOf(row)
}

/** The newest rollout of each model, if it runs or has ended since. */
export async function readRecentRollouts(handle: Kysely<LockstepTables>, since: Date): Promise<ReadonlyMap<string, Rollout>> {
  const rows = await handle
    .selectFrom('lockstep.rollouts')
    .selectAll()
    .distinctOn('model')
    .where(({ or, eb }) => or([eb('state', '=', 'running'), eb('ended_at', '>=', since)]))
    .orderBy('model')
    .orderBy('id', 'desc')
    .execute()
  return new Map(rows.map((row) => [row.model, rolloutOf(row)]))
}

/** The newest 100 rollouts of a model, newest first. */
export async function readRollouts(handle: Kysely<LockstepTables>, model: string): Promise<Rollout[]> {
  const rows = await handle
    .selectFrom('lockstep.rollouts')
    .selectAll()
    .where('model', '=', model)
    .orderBy('id', 'desc')
    .limit(100)
    .execute()
  return rows.map(rolloutOf)
}

export function rolloutOf(row: Selectable<RolloutsTable>): Rollout {
  const { id, model, version, state, share, unit, salt, step, paused, revision, since } = row
  return {
    id: Number(id),
    model,
    version,
    state,
    share,
    unit,
    salt,
    plan: row.plan as RolloutPlan | null, // `startRollout` has parsed it
    step,
    paused,
    revision,
    since,
    startedBy: row.started_by,
    startedAt: row.started_at,
    endedAt: row.ended_at,
  }
}
