import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import { LockstepError } from '../../kernel/errors.ts'
import type { LockstepTables, ModelAction } from '../../migrations/schema.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { CatalogModel } from '../catalog.ts'
import { loadCatalog } from '../catalog.ts'
import type { ChangeOptions } from '../change-transaction.ts'
import { changeCatalog } from '../change-transaction.ts'
import type { LoadedOn, LoadOnServersOptions } from './load-on-servers.ts'
import { loadOnServers } from './load-on-servers.ts'
import { championAlias } from './model-aliases.ts'
import type { Actor } from '../../runtime/audit.ts'
import { recordModelEvent } from './model-events.ts'
import { checkAlias, pickVersion, requireAlias } from './pick-version.ts'
import type { VersionReference } from './pick-version.ts'
import { requireServable } from './require-servable.ts'
import type { Rollout } from '../rollouts/rollout.ts'
import { restartStep } from '../rollouts/restart-step.ts'
import { checkTrainedOn, trainingSetOf } from './trained-features.ts'

/** The maximum previous versions that an alias keeps for rollback. */
const formerKept = 100

export interface AliasChange {
  readonly model: string
  readonly alias: string
  /** The version before the change. For a first champion, the version that answered until then. */
  readonly from: number | null
  /** The version after the change; null: the alias was deleted. */
  readonly to: number | null
  /** False if nothing had to change. */
  readonly changed: boolean
  /** The version that the model is pinned to: it answers whatever the champion is. null: none. */
  readonly pinned: number | null
  /** The registry's revision afterwards. */
  readonly revision: number
  /** For a promotion that made servers load the version first: how many servers were asked and how many loaded it. */
  readonly servers?: LoadedOn
}

export interface RollBackOptions extends ChangeOptions {
  /** The version that the caller expects the alias to point to afterwards. */
  readonly to?: number | undefined
}

export interface PromoteOptions extends LoadOnServersOptions, ChangeOptions {
  /**
   * Changes the alias without waiting for servers to load the version. Each server switches once it has loaded the
   * version.
   */
  readonly atOnce?: boolean
  /** Promotes a version even if it was trained on other features than it is served with. */
  readonly datasetMismatch?: boolean
}

/**
 * Points an alias at a version. The version of `champion` answers requests without a version. By default all servers
 * load the version first.
 *
 * @param wanted a number, or another alias
 * @throws LockstepError `UNKNOWN_DEFINITION`, `INVALID_NAME`, or `NOT_PROMOTABLE` if the version can no longer be
 *   served, a server cannot load it, or the alias was changed meanwhile; `DATASET_MISMATCH`; `IN_USE` for the candidate
 *   of a running rollout
 */
export async function promoteModel(
  db: Database,
  name: string,
  wanted: VersionReference,
  by: Actor,
  alias: string = championAlias,
  { atOnce = false, datasetMismatch = false, ...options }: PromoteOptions = {},
): Promise<AliasChange> {
  checkAlias(alias)
  const catalog = await loadCatalog(db)
  const model = catalog.model(name)
  const picked = pickVersion(model, wanted)
  const { version } = picked
  if (alias === championAlias) refuseCandidate(model, version)
  const { binding } = requireServable(catalog, model, version, `"${alias}" was not changed`)
  const before = model.aliases.get(alias)?.version
  const dataset = await trainingSetOf(db.kysely, picked)
  if (dataset !== null && before !== version) {
    const served = { model: name, service: picked.service, serviceFingerprint: picked.serviceFingerprint, binding }
    const allow = 'promote it with --dataset-mismatch, or "datasetMismatch": true over HTTP'
    await checkTrainedOn(db.kysely, dataset, served, { allowed: datasetMismatch, allow })
  }
  const servers = atOnce || before === version ? null : await loadOnServers(db, name, { version, revision: catalog.revision }, options)
  const change = await changeAlias(db, name, options, async (now, transaction) => {
    // the change may have waited for its turn
    options.signal?.throwIfAborted()
    const current = now.aliases.get(alias)?.version
    if (servers !== null && servers.asked > 0 && current !== before && current !== version)
      throw changedMeanwhile(name, alias, version, current)
    if (alias === championAlias) refuseCandidate(now, version)
    return await pointAlias(transaction, now, alias, version, by)
  })
  return servers === null ? change : { ...change, servers }
}

/** A champion that is the candidate, too, would leave a rollout that compares a version with itself. */
function refuseCandidate({ name, rollout }: CatalogModel, version: number): void {
  if (rollout?.version !== version) return
  throw new LockstepError(
    'IN_USE',
    `The version ${version} of the model "${name}" rolls out. To make it the champion and end the rollout: lockstep rollout promote ${name}.`,
    { details: { model: name, version } },
  )
}

/**
 * The newest version, which would answer without a champion, may be the candidate, and is not what was compared with.
 */
function neededByRollout({ model, version }: Rollout): LockstepError {
  return new LockstepError(
    'IN_USE',
    `The version ${version} of the model "${model}" rolls out, and is compared with the champion. End the rollout before you delete the alias "${championAlias}": lockstep rollout promote ${model}, or lockstep rollout abort ${model}.`,
    { details: { model, version } },
  )
}

/** A slow promotion must not overwrite a later change of the alias. */
function changedMeanwhile(model: string, alias: string, version: number, current: number | undefined): LockstepError {
  const what = current === undefined ? 'was removed' : `was set to the version ${current}`
  return new LockstepError(
    'NOT_PROMOTABLE',
    `The alias "${alias}" of the model "${model}" ${what} while servers loaded the version ${version}, so that change stays. Promote the version again if you still want it.`,
    { details: { model, alias, version } },
  )
}

/**
 * Points an alias at its previous version. Repeat it to go back further.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`, also if the alias does not exist; `NOT_PROMOTABLE` if there is no
 *   previous version or it can no longer be served; `IN_USE` for the candidate of a running rollout; `STALE` if it is
 *   another version than the expected one
 */
export async function rollBackModel(
  db: Database,
  name: string,
  by: Actor,
  alias: string = championAlias,
  { to: expected, ...options }: RollBackOptions = {},
): Promise<AliasChange> {
  return await changeAlias(db, name, options, async (model, transaction) => {
    const to = rollBackTarget(model, alias)
    if (expected !== undefined && to !== expected) {
      throw new LockstepError(
        'STALE',
        `A rollback of the model "${name}" now leads to version ${to}, not ${expected}; nothing was done. Look again, and decide again.`,
        { details: { model: name, alias, to, expected } },
      )
    }
    const { former } = requireAlias(model, alias)
    return await writeAlias(transaction, model, alias, { to, former: former.slice(0, -1), action: 'rollback' }, by)
  })
}

/** The version to which a rollback points an alias. @throws as `rollBackModel` does */
export function rollBackTarget(model: CatalogModel, alias: string = championAlias): number {
  if (alias === championAlias && !model.aliases.has(alias)) throw nothingPromoted(model)
  const { version, former } = requireAlias(model, alias)
  const to = former.at(-1)
  if (to === undefined) {
    throw new LockstepError(
      'NOT_PROMOTABLE',
      `The alias "${alias}" of the model "${model.name}" cannot be rolled back: it pointed to no version before ${version}. Point it to one: lockstep model alias ${model.name}@N ${alias}.`,
      { details: { model: model.name, alias } },
    )
  }
  if (alias === championAlias) refuseCandidate(model, to)
  return to
}

/** Without a champion a new push is served at once, which a rollback does not undo. */
function nothingPromoted({ name, versions }: CatalogModel): LockstepError {
  const [before, newest] = [versions.at(-2)?.version, versions.at(-1)?.version]
  const answers = newest === undefined ? 'and no version' : `so its ${before === undefined ? 'only' : 'newest'} version, ${newest}, answers`
  const advice =
    newest === undefined
      ? ` Push one: lockstep model push ${name} FILE.`
      : before === undefined
        ? ''
        : ` To serve version ${before} again: lockstep model promote ${name}@${before}.`
  return new LockstepError('UNKNOWN_DEFINITION', `The model "${name}" has no alias "${championAlias}" to roll back, ${answers}.${advice}`, {
    details: { model: name, alias: championAlias },
  })
}

/**
 * Deletes an alias and its history. Without a champion the newest version answers.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`; `IN_USE` for the champion while a version rolls out
 */
export async function removeModelAlias(
  db: Database,
  name: string,
  alias: string,
  by: Actor,
  options: ChangeOptions = {},
): Promise<AliasChange> {
  return await changeAlias(db, name, options, async (model, transaction) => {
    const from = requireAlias(model, alias).version
    if (alias === championAlias && model.rollout !== null) throw neededByRollout(model.rollout)
    await transaction.deleteFrom('lockstep.model_aliases').where('model', '=', name).where('alias', '=', alias).execute()
    await recordModelEvent(transaction, { model: name, action: 'remove', alias, from, to: null, ...by })
    return { model: name, alias, from, to: null, changed: true }
  })
}

/** Points an alias within the transaction of a push or another change. */
export async function pointAlias(
  transaction: Kysely<LockstepTables>,
  model: CatalogModel,
  alias: string,
  to: number,
  by: Actor,
): Promise<Omit<AliasChange, 'revision' | 'pinned'>> {
  const current = model.aliases.get(alias)
  if (current?.version === to) return { model: model.name, alias, from: to, to, changed: false }
  const before = current === undefined ? servedBefore(model, alias, to) : [...current.former, current.version]
  return await writeAlias(transaction, model, alias, { to, former: before.slice(-formerKept), action: 'promote' }, by)
}

/**
 * The version that answered before the first champion: the newest one. Empty if the new champion is itself the newest.
 */
function servedBefore(model: CatalogModel, alias: string, to: number): number[] {
  const newest = model.versions.findLast(({ version }) => version !== to)
  return alias === championAlias && newest !== undefined && model.versions.at(-1)?.version !== to ? [newest.version] : []
}

async function writeAlias(
  transaction: Kysely<LockstepTables>,
  model: CatalogModel,
  alias: string,
  { to, former, action }: { readonly to: number; readonly former: readonly number[]; readonly action: ModelAction },
  by: Actor,
): Promise<Omit<AliasChange, 'revision' | 'pinned'>> {
  const from = model.aliases.get(alias)?.version ?? former.at(-1) ?? null
  const row = { version: to, former: JSON.stringify(former), set_at: sql<Date>`now()` }
  await transaction
    .insertInto('lockstep.model_aliases')
    .values({ model: model.name, alias, ...row })
    .onConflict((conflict) => conflict.columns(['model', 'alias']).doUpdateSet(row))
    .execute()
  await recordModelEvent(transaction, { model: model.name, action, alias, from, to, ...by })
  // what the rollout has counted so far compares with another version
  if (alias === championAlias && model.rollout?.version !== to)
    await restartStep(transaction, model, by, `Version ${to} became the champion`)
  return { model: model.name, alias, from, to, changed: true }
}

/** Changes an alias, and checks that its version can be served afterwards. */
async function changeAlias(
  db: Database,
  name: string,
  options: ChangeOptions,
  change: (model: CatalogModel, transaction: Kysely<LockstepTables>) => Promise<Omit<AliasChange, 'revision' | 'pinned'>>,
): Promise<AliasChange> {
  return await changeCatalog(db, options, async (catalog, transaction) => {
    const model = catalog.model(name)
    const made = await change(model, transaction)
    if (made.to !== null) requireServable(catalog, model, made.to, `"${made.alias}" was not changed`)
    return { ...made, pinned: model.pin }
  })
}
