import type { Kysely, UpdateObject } from 'kysely'
import { sql } from 'kysely'
import { LockstepError } from '../../kernel/errors.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Catalog, CatalogModel } from '../catalog.ts'
import type { ChangeOptions } from '../change-transaction.ts'
import { changeCatalog } from '../change-transaction.ts'
import type { LoadedOn } from '../models/load-on-servers.ts'
import type { Rollout } from './rollout.ts'
import { rolloutOf } from './rollout.ts'

export interface RolloutChange {
  readonly rollout: Rollout
  /** What the user should know, one sentence each. */
  readonly notes: readonly string[]
  /** The registry's revision afterwards. */
  readonly revision: number
  /** For a start: how many servers were asked to load the candidate, and how many loaded it. */
  readonly servers?: LoadedOn
}

/** Changes the rollout of a model. */
export async function changeRollout(
  db: Database,
  name: string,
  options: ChangeOptions,
  change: (catalog: Catalog, transaction: Kysely<LockstepTables>) => Promise<Rollout>,
): Promise<RolloutChange> {
  return await changeCatalog(db, options, async (catalog, transaction) => {
    const rollout = await change(catalog, transaction)
    return { rollout, notes: pinNotes(catalog.model(name)) }
  })
}

/** Says that a pin keeps a rollout or an experiment from having any effect. */
export function pinNotes({ name, pin }: Pick<CatalogModel, 'name' | 'pin'>): string[] {
  if (pin === null) return []
  return [
    `The model is pinned to version ${pin}, which answers all requests that name no version until you unpin it: lockstep model unpin ${name}`,
  ]
}

/** Writes a rollout's new values, in a new revision. */
export async function updateRollout(
  transaction: Kysely<LockstepTables>,
  { id, revision }: Rollout,
  values: UpdateObject<LockstepTables, 'lockstep.rollouts'>,
): Promise<Rollout> {
  const row = await transaction
    .updateTable('lockstep.rollouts')
    .set({ ...values, revision: revision + 1, since: sql<Date>`clock_timestamp()` })
    .where('id', '=', String(id))
    .returningAll()
    .executeTakeFirstOrThrow()
  return rolloutOf(row)
}

export async function endRollout(
  transaction: Kysely<LockstepTables>,
  rollout: Rollout,
  state: Exclude<Rollout['state'], 'running'>,
): Promise<Rollout> {
  return await updateRollout(transaction, rollout, { state, ended_at: sql`now()` })
}

/** @throws LockstepError `UNKNOWN_DEFINITION` */
export function runningRollout({ name, rollout }: CatalogModel): Rollout {
  if (rollout !== null) return rollout
  throw new LockstepError(
    'UNKNOWN_DEFINITION',
    `The model "${name}" has no running rollout. Start one: lockstep rollout start ${name}@N --share 5%.`,
    { details: { model: name } },
  )
}

export function subjectOf({ model, version }: Rollout): string {
  return `${model}@${version}`
}

/** A rollout as the audit log has it. */
export function auditedRouting({ version, share, unit, salt, plan, step, paused }: Rollout): object {
  return { version, share, unit, salt, ...(plan === null ? {} : { step: (step ?? 0) + 1, paused }) }
}
