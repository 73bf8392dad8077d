import type { Kysely } from 'kysely'
import { LockstepError } from '../../kernel/errors.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Actor } from '../../runtime/audit.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { loadCatalog } from '../catalog.ts'
import type { ChangeOptions } from '../change-transaction.ts'
import { changeCatalog } from '../change-transaction.ts'
import type { LoadedOn, LoadOnServersOptions } from './load-on-servers.ts'
import { loadOnServers } from './load-on-servers.ts'
import { recordModelEvent } from './model-events.ts'
import type { VersionReference } from './pick-version.ts'
import { pickVersion } from './pick-version.ts'
import { requireServable } from './require-servable.ts'
import { restartStep } from '../rollouts/restart-step.ts'

export interface PinChange {
  readonly model: string
  /** The pinned version before the change; null: none. */
  readonly from: number | null
  /** The pinned version after the change; null: none. */
  readonly to: number | null
  /** The version that answers requests without a version afterwards; null: the model has none. */
  readonly serves: number | null
  /** False if nothing had to change. */
  readonly changed: boolean
  /** The registry's revision afterwards. */
  readonly revision: number
  /** How many servers were asked to load the version first, and how many loaded it. */
  readonly servers?: LoadedOn
}

export interface PinOptions extends LoadOnServersOptions, ChangeOptions {
  /** Pins the version without waiting for servers to load it. Each server switches once it has loaded the version. */
  readonly atOnce?: boolean
}

/**
 * Sends all requests that name no version to one version, whatever the champion is and whatever rolls out, until the
 * model is unpinned. By default all servers load the version first.
 *
 * @param wanted a number or an alias
 * @throws LockstepError `UNKNOWN_DEFINITION`; `NOT_PROMOTABLE` if the version can no longer be served, or a server
 *   cannot load it
 */
export async function pinModel(
  db: Database,
  name: string,
  wanted: VersionReference,
  by: Actor,
  { atOnce = false, ...options }: PinOptions = {},
): Promise<PinChange> {
  const catalog = await loadCatalog(db)
  const model = catalog.model(name)
  const { version } = pickVersion(model, wanted)
  requireServable(catalog, model, version, 'it was not pinned')
  const isPinned = model.pin === version
  const servers = atOnce || isPinned ? null : await loadOnServers(db, name, { version, revision: catalog.revision }, options)
  options.signal?.throwIfAborted()
  const change = await changePin(db, name, version, by, options)
  return servers === null ? change : { ...change, servers }
}

/** @throws LockstepError `UNKNOWN_DEFINITION`; `NOT_PROMOTABLE` if the model is not pinned */
export async function unpinModel(db: Database, name: string, by: Actor, options: ChangeOptions = {}): Promise<PinChange> {
  return await changePin(db, name, null, by, options)
}

async function changePin(db: Database, name: string, to: number | null, by: Actor, options: ChangeOptions): Promise<PinChange> {
  return await changeCatalog(db, options, async (catalog, transaction) => {
    const model = catalog.model(name)
    const from = model.pin
    if (to === null && from === null) throw notPinned(name)
    if (to !== null) requireServable(catalog, model, to, 'it was not pinned')
    const changed = from !== to
    if (changed) {
      await writePin(transaction, name, to)
      await recordModelEvent(transaction, { model: name, action: to === null ? 'unpin' : 'pin', alias: null, from, to, ...by })
      // the candidate got no rows while the model was pinned, so they would seem to be too few for its share
      if (to === null) await restartStep(transaction, model, by, `The model "${name}" was unpinned`)
    }
    const after = { ...model, pin: to }
    const serves = model.versions.length === 0 ? null : pickVersion(after).version
    return { model: name, from, to, serves, changed }
  })
}

async function writePin(transaction: Kysely<LockstepTables>, model: string, version: number | null): Promise<void> {
  await transaction.deleteFrom('lockstep.model_pins').where('model', '=', model).execute()
  if (version !== null) await transaction.insertInto('lockstep.model_pins').values({ model, version }).execute()
}

function notPinned(model: string): LockstepError {
  return new LockstepError(
    'NOT_PROMOTABLE',
    `The model "${model}" is not pinned, so nothing was changed. "lockstep model list ${model}" shows which version answers.`,
    { details: { model } },
  )
}
