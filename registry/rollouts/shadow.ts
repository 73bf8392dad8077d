import type { Kysely, Selectable } from 'kysely'
import type { LockstepTables, ShadowsTable } from '../../migrations/schema.ts'

/** A version that also runs a share of a model's requests, after they are answered. Its answers are only compared. */
export interface Shadow {
  readonly id: number
  readonly model: string
  /** The candidate. */
  readonly version: number
  readonly state: 'running' | 'stopped'
  /** From 0 to 1, as the share of a rollout. */
  readonly share: number
  /** The field of the entities that decides, or `requestUnit`. */
  readonly unit: string
  /** Of `unitPlace`. */
  readonly salt: string
  /** Outputs that differ by more than this are counted. */
  readonly tolerance: number
  readonly startedBy: string
  readonly startedAt: Date
  readonly endedAt: Date | null
}

/** The running shadow of each model. */
export async function readRunningShadows(handle: Kysely<LockstepTables>): Promise<ReadonlyMap<string, Shadow>> {
  const rows = await handle.selectFrom('lockstep.shadows').selectAll().where('state', '=', 'running').execute()
  return new Map(rows.map((row) => [row.model, shadowOf(row)]))
}

/** The running shadow of a model, or its last one; null: it had none. */
export async function readLastShadow(handle: Kysely<LockstepTables>, model: string): Promise<Shadow | null> {
  const row = await handle
    .selectFrom('lockstep.shadows')
    .selectAll()
    .where('model', '=', model)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row === undefined ? null : shadowOf(row)
}

export function shadowOf(row: Selectable<ShadowsTable>): Shadow {
  const { id, model, version, state, share, unit, salt, tolerance } = row
  const times = { startedBy: row.started_by, startedAt: row.started_at, endedAt: row.ended_at }
  return { id: Number(id), model, version, state, share, unit, salt, tolerance, ...times }
}
