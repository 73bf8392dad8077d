import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import { LockstepError } from '../../kernel/errors.ts'
import type { Actor } from '../../runtime/audit.ts'
import { recordAudit } from '../../runtime/audit.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { CatalogModel } from '../catalog.ts'
import { loadCatalog } from '../catalog.ts'
import type { ChangeOptions } from '../change-transaction.ts'
import { changeCatalog } from '../change-transaction.ts'
import type { LoadedOn, LoadOnServersOptions } from '../models/load-on-servers.ts'
import { loadOnServers } from '../models/load-on-servers.ts'
import type { VersionReference } from '../models/pick-version.ts'
import { pickVersion } from '../models/pick-version.ts'
import { checkShare } from './change-rollout.ts'
import { checkCandidate } from './check-candidate.ts'
import type { Shadow } from './shadow.ts'
import { shadowOf } from './shadow.ts'

export interface ShadowChange {
  readonly shadow: Shadow
  /** The registry's revision afterwards. */
  readonly revision: number
  /** For a start: how many servers were asked to load the candidate, and how many loaded it. */
  readonly servers?: LoadedOn
}

export interface ShadowStart {
  readonly version: VersionReference
  /** From 0 to 1. */
  readonly share: number
  /** A field of the entities, or `requestUnit`. Absent: the first key column. */
  readonly unit?: string | undefined
  /** Default: 0.01. */
  readonly tolerance?: number | undefined
}

const defaultTolerance = 0.01

/**
 * Makes a version run a share of the requests that name no version, beside the one that answers. All servers load it
 * first.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`; `INVALID_REQUEST` for the share, the unit or the tolerance; `IN_USE` if
 *   the model has a shadow; `NOT_PROMOTABLE` if the candidate cannot be served, or a server cannot load it
 */
export async function startShadow(
  db: Database,
  name: string,
  { version: wanted, share, unit, tolerance = defaultTolerance }: ShadowStart,
  by: Actor,
  options: Omit<LoadOnServersOptions, 'untried'> & ChangeOptions = {},
): Promise<ShadowChange> {
  checkShare(share)
  checkTolerance(tolerance)
  const catalog = await loadCatalog(db)
  const model = catalog.model(name)
  refuseSecond(model)
  const { version } = pickVersion(model, wanted)
  checkCandidate(catalog, model, version, unit, shadowWords)
  const servers = await loadOnServers(db, name, { version, revision: catalog.revision }, options)
  options.signal?.throwIfAborted()
  const change = await changeCatalog(db, options, async (now, transaction) => {
    const current = now.model(name)
    refuseSecond(current)
    const row = await transaction
      .insertInto('lockstep.shadows')
      .values({
        model: name,
        version,
        state: 'running',
        share,
        unit: checkCandidate(now, current, version, unit, shadowWords),
        salt: randomBytes(8).toString('hex'),
        tolerance,
        started_by: by.actor,
      })
      .returningAll()
      .executeTakeFirstOrThrow()
    const shadow = shadowOf(row)
    await recordAudit({ kysely: transaction }, by, { action: 'shadow.start', subject: subjectOf(shadow), after: stateOf(shadow) })
    return { shadow }
  })
  return { ...change, servers }
}

/** Ends the running shadow. @throws LockstepError `UNKNOWN_DEFINITION`, also if none runs */
export async function stopShadow(db: Database, name: string, by: Actor, options: ChangeOptions = {}): Promise<ShadowChange> {
  return await changeCatalog(db, options, async (catalog, transaction) => {
    const before = runningShadow(catalog.model(name))
    const row = await transaction
      .updateTable('lockstep.shadows')
      .set({ state: 'stopped', ended_at: sql<Date>`now()` })
      .where('id', '=', String(before.id))
      .returningAll()
      .executeTakeFirstOrThrow()
    await recordAudit({ kysely: transaction }, by, { action: 'shadow.stop', subject: subjectOf(before), before: stateOf(before) })
    return { shadow: shadowOf(row) }
  })
}

const shadowWords = { not: 'it does not run in shadow', use: 'run in shadow' }

function runningShadow({ name, shadow }: CatalogModel): Shadow {
  if (shadow !== null) return shadow
  throw new LockstepError(
    'UNKNOWN_DEFINITION',
    `The model "${name}" has no running shadow. Start one: lockstep shadow start ${name}@N --share 20%.`,
    { details: { model: name } },
  )
}

function refuseSecond({ name, shadow }: CatalogModel): void {
  if (shadow === null) return
  throw new LockstepError(
    'IN_USE',
    `The model "${name}" has a shadow, version ${shadow.version}, already. Stop it first: lockstep shadow stop ${name}.`,
    { details: { model: name, version: shadow.version } },
  )
}

function checkTolerance(tolerance: number): void {
  if (tolerance >= 0 && Number.isFinite(tolerance)) return
  throw new LockstepError('INVALID_REQUEST', `The tolerance is ${tolerance}; it must be a number from 0 on, such as 0.01.`, {
    details: { tolerance },
  })
}

function subjectOf({ model, version }: Shadow): string {
  return `${model}@${version}`
}

function stateOf({ version, share, unit, salt, tolerance }: Shadow): object {
  return { version, share, unit, salt, tolerance }
}
