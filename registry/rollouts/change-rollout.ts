import { randomBytes } from 'node:crypto'
import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import { LockstepError } from '../../kernel/errors.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Actor } from '../../runtime/audit.ts'
import { recordAudit } from '../../runtime/audit.ts'
import type { Database } from '../../runtime/database.ts'
import type { Catalog, CatalogModel } from '../catalog.ts'
import { loadCatalog, readCatalog } from '../catalog.ts'
import type { LoadedOn, LoadOnServersOptions } from '../load-on-servers.ts'
import { loadOnServers } from '../load-on-servers.ts'
import { championAlias } from '../model-aliases.ts'
import type { VersionReference } from '../pick-version.ts'
import { pickVersion } from '../pick-version.ts'
import type { ChangeOptions } from '../promote.ts'
import { pointAlias } from '../promote.ts'
import { requireServable } from '../require-servable.ts'
import { bumpRevision, lockRegistry } from '../revision.ts'
import { checkTrainedOn, trainingSetOf } from '../trained-features.ts'
import { checkCandidate } from './check-candidate.ts'
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

export interface RolloutStart {
  readonly version: VersionReference
  /** From 0 to 1. */
  readonly share: number
  /** A field of the entities, or `requestUnit`. Absent: the first key column. */
  readonly unit?: string | undefined
  /** Rolls out a version even if it was trained on other features than it is served with. */
  readonly datasetMismatch?: boolean | undefined
}

/**
 * Gives a candidate a share of the requests that name no version. All servers load it first.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`; `INVALID_REQUEST` for the share or the unit; `IN_USE` if the model has a
 *   rollout; `NOT_PROMOTABLE` if the candidate cannot be served, or a server cannot load it; `DATASET_MISMATCH`
 */
export async function startRollout(
  db: Database,
  name: string,
  { version: wanted, share, unit, datasetMismatch = false }: RolloutStart,
  by: Actor,
  options: Omit<LoadOnServersOptions, 'untried'> & ChangeOptions = {},
): Promise<RolloutChange> {
  checkShare(share)
  const catalog = await loadCatalog(db)
  const model = catalog.model(name)
  refuseSecond(model)
  const picked = pickVersion(model, wanted)
  const { version } = picked
  checkCandidate(catalog, model, version, unit)
  const dataset = await trainingSetOf(db.kysely, picked)
  if (dataset !== null) {
    const { binding } = requireServable(catalog, model, version, 'it was not rolled out')
    const served = { model: name, service: picked.service, serviceFingerprint: picked.serviceFingerprint, binding }
    const allow = 'roll it out with --dataset-mismatch, or "datasetMismatch": true over HTTP'
    await checkTrainedOn(db.kysely, dataset, served, { allowed: datasetMismatch, allow })
  }
  const servers = await loadOnServers(db, name, { version, revision: catalog.revision }, options)
  options.signal?.throwIfAborted()
  const change = await changed(db, name, options, async (now, transaction) => {
    const current = now.model(name)
    refuseSecond(current)
    const row = await transaction
      .insertInto('lockstep.rollouts')
      .values({
        model: name,
        version,
        state: 'running',
        share,
        unit: checkCandidate(now, current, version, unit),
        salt: randomBytes(8).toString('hex'),
        started_by: by.actor,
      })
      .returningAll()
      .executeTakeFirstOrThrow()
    const rollout = rolloutOf(row)
    await recordAudit({ kysely: transaction }, by, { action: 'rollout.start', subject: subjectOf(rollout), after: routingOf(rollout) })
    return rollout
  })
  return { ...change, servers }
}

/**
 * Changes the share of the running rollout.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`, also if no rollout runs; `INVALID_REQUEST`
 */
export async function changeShare(
  db: Database,
  name: string,
  share: number,
  by: Actor,
  options: ChangeOptions = {},
): Promise<RolloutChange> {
  checkShare(share)
  return await changed(db, name, options, async (catalog, transaction) => {
    const before = runningRollout(catalog.model(name))
    const rollout = { ...before, share }
    await transaction.updateTable('lockstep.rollouts').set({ share }).where('id', '=', String(before.id)).execute()
    const states = { before: routingOf(before), after: routingOf(rollout) }
    await recordAudit({ kysely: transaction }, by, { action: 'rollout.share', subject: subjectOf(rollout), ...states })
    return rollout
  })
}

/** Ends the running rollout: the champion has all requests again. @throws LockstepError `UNKNOWN_DEFINITION` */
export async function abortRollout(db: Database, name: string, by: Actor, options: ChangeOptions = {}): Promise<RolloutChange> {
  return await changed(db, name, options, async (catalog, transaction) => {
    const before = runningRollout(catalog.model(name))
    const rollout = await end(transaction, before, 'aborted')
    await recordAudit({ kysely: transaction }, by, { action: 'rollout.abort', subject: subjectOf(before), before: routingOf(before) })
    return rollout
  })
}

/**
 * Makes the candidate the champion and ends the rollout, in one transaction.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`, `NOT_PROMOTABLE`
 */
export async function promoteRollout(db: Database, name: string, by: Actor, options: ChangeOptions = {}): Promise<RolloutChange> {
  return await changed(db, name, options, async (catalog, transaction) => {
    const model = catalog.model(name)
    const before = runningRollout(model)
    requireServable(catalog, model, before.version, 'it was not promoted')
    await pointAlias(transaction, model, championAlias, before.version, by)
    const rollout = await end(transaction, before, 'promoted')
    const states = { before: routingOf(before), after: { version: before.version, champion: true } }
    await recordAudit({ kysely: transaction }, by, { action: 'rollout.promote', subject: subjectOf(before), ...states })
    return rollout
  })
}

async function changed(
  db: Database,
  name: string,
  { beforeCommit }: ChangeOptions,
  change: (catalog: Catalog, transaction: Kysely<LockstepTables>) => Promise<Rollout>,
): Promise<RolloutChange> {
  return await db.kysely.transaction().execute(async (transaction) => {
    await lockRegistry(transaction)
    const catalog = await readCatalog(transaction, db.signing)
    const rollout = await change(catalog, transaction)
    const revision = await bumpRevision(transaction)
    beforeCommit?.()
    const { pin } = catalog.model(name)
    const notes =
      pin === null
        ? []
        : [
            `The model is pinned to version ${pin}, which answers all requests that name no version until you unpin it: lockstep model unpin ${name}`,
          ]
    return { rollout, notes, revision }
  })
}

async function end(transaction: Kysely<LockstepTables>, { id }: Rollout, state: 'promoted' | 'aborted'): Promise<Rollout> {
  const ended = { state, ended_at: sql<Date>`now()` }
  const row = await transaction
    .updateTable('lockstep.rollouts')
    .set(ended)
    .where('id', '=', String(id))
    .returningAll()
    .executeTakeFirstOrThrow()
  return rolloutOf(row)
}

function runningRollout({ name, rollout }: CatalogModel): Rollout {
  if (rollout !== null) return rollout
  throw new LockstepError(
    'UNKNOWN_DEFINITION',
    `The model "${name}" has no running rollout. Start one: lockstep rollout start ${name}@N --share 5%.`,
    { details: { model: name } },
  )
}

function refuseSecond({ name, rollout }: CatalogModel): void {
  if (rollout === null) return
  throw new LockstepError(
    'IN_USE',
    `The model "${name}" has a rollout of version ${rollout.version} already. End it first: lockstep rollout promote ${name}, or lockstep rollout abort ${name}.`,
    { details: { model: name, version: rollout.version } },
  )
}

/** @throws LockstepError `INVALID_REQUEST` */
export function checkShare(share: number): void {
  if (share >= 0 && share <= 1) return
  throw new LockstepError('INVALID_REQUEST', `The share is ${share}; it must be from 0 to 1, such as 0.05 for 5 %.`, { details: { share } })
}

function subjectOf({ model, version }: Rollout): string {
  return `${model}@${version}`
}

function routingOf({ version, share, unit, salt }: Rollout): object {
  return { version, share, unit, salt }
}
