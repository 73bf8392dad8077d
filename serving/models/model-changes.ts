import type { ModelEvent } from '../../registry/models/model-events.ts'
import type { Actor } from '../../runtime/audit.ts'
import { listModelEvents } from '../../registry/models/model-events.ts'
import { championAlias } from '../../registry/models/model-aliases.ts'
import type { ModelLineage } from '../../registry/models/model-lineage.ts'
import { readModelLineage } from '../../registry/models/model-lineage.ts'
import type { ModelVersion } from '../../registry/models/model-versions.ts'
import type { PinChange, PinOptions } from '../../registry/models/pin-model.ts'
import { pinModel, unpinModel } from '../../registry/models/pin-model.ts'
import type { VersionReference } from '../../registry/models/pick-version.ts'
import type { ChangeOptions } from '../../registry/change-transaction.ts'
import type { AliasChange, PromoteOptions, RollBackOptions } from '../../registry/models/promote.ts'
import { promoteModel, removeModelAlias, rollBackModel } from '../../registry/models/promote.ts'
import type { RolloutStart } from '../../registry/rollouts/change-rollout.ts'
import {
  abortRollout,
  changeShare,
  pauseRollout,
  promoteRollout,
  resumeRollout,
  startRollout,
} from '../../registry/rollouts/change-rollout.ts'
import type { RolloutHistory } from '../../registry/rollouts/rollout-history.ts'
import { readRolloutHistory } from '../../registry/rollouts/rollout-history.ts'
import type { RolloutChange } from '../../registry/rollouts/rollout-transaction.ts'
import type { ShadowChange, ShadowStart } from '../../registry/rollouts/change-shadow.ts'
import { startShadow, stopShadow } from '../../registry/rollouts/change-shadow.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { LiveCatalog } from './live-catalog.ts'
import { reachRevision } from './live-catalog.ts'
import type { ModelHost } from './model-host.ts'

/** A change that was committed, and whether this server serves by it. */
export interface TakenChange extends AliasChange {
  /** False if the server has not loaded the new version yet: it keeps trying. */
  readonly inForce: boolean
}

/** A pin that was committed or removed, and whether this server serves by it. */
export interface TakenPin extends PinChange {
  readonly inForce: boolean
}

/** A change of a rollout that was committed, and whether this server routes by it. */
export interface TakenRolloutChange extends RolloutChange {
  readonly inForce: boolean
}

/** A change of a shadow that was committed, and whether this server acts by it. */
export interface TakenShadowChange extends ShadowChange {
  readonly inForce: boolean
}

export interface ShadowChanges {
  start(model: string, start: ShadowStart, by: Actor, options?: Parameters<typeof startShadow>[4]): Promise<TakenShadowChange>
  stop(model: string, by: Actor, options?: ChangeOptions): Promise<TakenShadowChange>
}

export interface RolloutChanges {
  start(model: string, start: RolloutStart, by: Actor, options?: Parameters<typeof startRollout>[4]): Promise<TakenRolloutChange>
  share(model: string, share: number, by: Actor, options?: ChangeOptions): Promise<TakenRolloutChange>
  abort(model: string, by: Actor, options?: ChangeOptions): Promise<TakenRolloutChange>
  promote(model: string, by: Actor, options?: ChangeOptions): Promise<TakenRolloutChange>
  pause(model: string, by: Actor, options?: ChangeOptions): Promise<TakenRolloutChange>
  resume(model: string, by: Actor, options?: ChangeOptions): Promise<TakenRolloutChange>
  /** The history of the running rollout, or of the last one. */
  history(model: string): Promise<RolloutHistory>
}

/**
 * Changes to models, and what a server answers about them beyond its catalog. A change is usually in force on this
 * server when it is answered, and on the others within a second.
 */
export interface ModelChanges {
  /** @throws LockstepError what `promoteModel` throws, `POSTGRES_UNAVAILABLE` */
  promote(model: string, version: VersionReference, alias: string, by: Actor, options?: PromoteOptions): Promise<TakenChange>
  rollBack(model: string, alias: string, by: Actor, options?: RollBackOptions): Promise<TakenChange>
  remove(model: string, alias: string, by: Actor, options?: ChangeOptions): Promise<TakenChange>
  pin(model: string, version: VersionReference, by: Actor, options?: PinOptions): Promise<TakenPin>
  unpin(model: string, by: Actor, options?: ChangeOptions): Promise<TakenPin>
  readonly rollouts: RolloutChanges
  readonly shadows: ShadowChanges
  /** Newest first. */
  history(model: string, limit: number | undefined): Promise<readonly ModelEvent[]>
  lineage(version: ModelVersion): Promise<ModelLineage>
}

/** @param database throws `POSTGRES_UNAVAILABLE` */
export function createModelChanges(database: () => Database, catalog: LiveCatalog, models?: Pick<ModelHost, 'answering'>): ModelChanges {
  /** False if the version does not load, so that another one serves in its place. */
  function isServed({ model, alias, to }: AliasChange): boolean {
    const { loaded } = catalog
    const known = loaded?.models.get(model)
    if (to === null || alias !== championAlias || loaded === null || known === undefined || models === undefined) return true
    // the pinned version answers whatever the champion is
    if (known.pin !== null) return true
    return models.answering(loaded, known)?.version === to
  }

  async function taken(change: (db: Database) => Promise<AliasChange>): Promise<TakenChange> {
    const db = database()
    const made = await change(db)
    // the change is committed: a caller that got an error would repeat it
    return { ...made, inForce: (await reachRevision(catalog, db, made.revision)) && isServed(made) }
  }

  async function takenPin(change: (db: Database) => Promise<PinChange>): Promise<TakenPin> {
    const db = database()
    const made = await change(db)
    const isReached = await reachRevision(catalog, db, made.revision)
    const { loaded } = catalog
    const known = loaded?.models.get(made.model)
    const isServed =
      made.to === null || loaded === null || known === undefined || (models?.answering(loaded, known)?.version ?? made.to) === made.to
    return { ...made, inForce: isReached && isServed }
  }

  async function takenAt<Change extends { readonly revision: number }>(
    change: (db: Database) => Promise<Change>,
  ): Promise<Change & { readonly inForce: boolean }> {
    const db = database()
    const made = await change(db)
    return { ...made, inForce: await reachRevision(catalog, db, made.revision) }
  }

  return {
    rollouts: {
      start: (model, start, by, options) => takenAt((db) => startRollout(db, model, start, by, options)),
      share: (model, share, by, options) => takenAt((db) => changeShare(db, model, share, by, options)),
      abort: (model, by, options) => takenAt((db) => abortRollout(db, model, by, options)),
      promote: (model, by, options) => takenAt((db) => promoteRollout(db, model, by, options)),
      pause: (model, by, options) => takenAt((db) => pauseRollout(db, model, by, options)),
      resume: (model, by, options) => takenAt((db) => resumeRollout(db, model, by, options)),
      history: (model) => readRolloutHistory(database().kysely, model),
    },
    shadows: {
      start: (model, start, by, options) => takenAt((db) => startShadow(db, model, start, by, options)),
      stop: (model, by, options) => takenAt((db) => stopShadow(db, model, by, options)),
    },
    promote: (model, version, alias, by, options) => taken((db) => promoteModel(db, model, version, by, alias, options)),
    rollBack: (model, alias, by, options) => taken((db) => rollBackModel(db, model, by, alias, options)),
    remove: (model, alias, by, options) => taken((db) => removeModelAlias(db, model, alias, by, options)),
    pin: (model, version, by, options) => takenPin((db) => pinModel(db, model, version, by, options)),
    unpin: (model, by, options) => takenPin((db) => unpinModel(db, model, by, options)),
    history: (model, limit) => listModelEvents(database(), model, limit),
    lineage: (version) => readModelLineage(database(), version),
  }
}
