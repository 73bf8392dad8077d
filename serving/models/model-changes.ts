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

/** A change that was committed, and whether this server acts by it: false until it has loaded the change. */
type Taken<Change> = Change & { readonly inForce: boolean }

export interface ShadowChanges {
  start(model: string, start: ShadowStart, by: Actor, options?: Parameters<typeof startShadow>[4]): Promise<Taken<ShadowChange>>
  stop(model: string, by: Actor, options?: ChangeOptions): Promise<Taken<ShadowChange>>
}

export interface RolloutChanges {
  start(model: string, start: RolloutStart, by: Actor, options?: Parameters<typeof startRollout>[4]): Promise<Taken<RolloutChange>>
  share(model: string, share: number, by: Actor, options?: ChangeOptions): Promise<Taken<RolloutChange>>
  abort(model: string, by: Actor, options?: ChangeOptions): Promise<Taken<RolloutChange>>
  promote(model: string, by: Actor, options?: ChangeOptions): Promise<Taken<RolloutChange>>
  pause(model: string, by: Actor, options?: ChangeOptions): Promise<Taken<RolloutChange>>
  resume(model: string, by: Actor, options?: ChangeOptions): Promise<Taken<RolloutChange>>
  /** The history of the running rollout, or of the last one. */
  history(model: string): Promise<RolloutHistory>
}

/**
 * Changes to models, and what a server answers about them beyond its catalog. A change is usually in force on this
 * server when it is answered, and on the others within a second.
 */
export interface ModelChanges {
  /** @throws LockstepError what `promoteModel` throws, `POSTGRES_UNAVAILABLE` */
  promote(model: string, version: VersionReference, alias: string, by: Actor, options?: PromoteOptions): Promise<Taken<AliasChange>>
  rollBack(model: string, alias: string, by: Actor, options?: RollBackOptions): Promise<Taken<AliasChange>>
  remove(model: string, alias: string, by: Actor, options?: ChangeOptions): Promise<Taken<AliasChange>>
  pin(model: string, version: VersionReference, by: Actor, options?: PinOptions): Promise<Taken<PinChange>>
  unpin(model: string, by: Actor, options?: ChangeOptions): Promise<Taken<PinChange>>
  readonly rollouts: RolloutChanges
  readonly shadows: ShadowChanges
  /** Newest first. */
  history(model: string, limit: number | undefined): Promise<readonly ModelEvent[]>
  lineage(version: ModelVersion): Promise<ModelLineage>
}

/** @param database throws `POSTGRES_UNAVAILABLE` */
export function createModelChanges(database: () => Database, catalog: LiveCatalog, models: Pick<ModelHost, 'answering'>): ModelChanges {
  /** False if the version does not load, so that another one serves in its place. */
  function answersWith(name: string, version: number | null): boolean {
    const { loaded } = catalog
    const model = loaded?.models.get(name)
    return version === null || loaded === null || model === undefined || models.answering(loaded, model)?.version === version
  }

  // a pinned version answers whatever the champion is
  const isChampion = ({ model, alias, to }: AliasChange): boolean =>
    alias !== championAlias || catalog.loaded?.models.get(model)?.pin !== null || answersWith(model, to)
  const isPinned = ({ model, to }: PinChange): boolean => answersWith(model, to)

  async function taken<Change extends { readonly revision: number }>(
    change: (db: Database) => Promise<Change>,
    isServed: (made: Change) => boolean = () => true,
  ): Promise<Taken<Change>> {
    const db = database()
    const made = await change(db)
    // the change is committed: a caller that got an error would repeat it
    return { ...made, inForce: (await reachRevision(catalog, db, made.revision)) && isServed(made) }
  }

  return {
    rollouts: {
      start: (model, start, by, options) => taken((db) => startRollout(db, model, start, by, options)),
      share: (model, share, by, options) => taken((db) => changeShare(db, model, share, by, options)),
      abort: (model, by, options) => taken((db) => abortRollout(db, model, by, options)),
      promote: (model, by, options) => taken((db) => promoteRollout(db, model, by, options)),
      pause: (model, by, options) => taken((db) => pauseRollout(db, model, by, options)),
      resume: (model, by, options) => taken((db) => resumeRollout(db, model, by, options)),
      history: (model) => readRolloutHistory(database().kysely, model),
    },
    shadows: {
      start: (model, start, by, options) => taken((db) => startShadow(db, model, start, by, options)),
      stop: (model, by, options) => taken((db) => stopShadow(db, model, by, options)),
    },
    promote: (model, version, alias, by, options) => taken((db) => promoteModel(db, model, version, by, alias, options), isChampion),
    rollBack: (model, alias, by, options) => taken((db) => rollBackModel(db, model, by, alias, options), isChampion),
    remove: (model, alias, by, options) => taken((db) => removeModelAlias(db, model, alias, by, options), isChampion),
    pin: (model, version, by, options) => taken((db) => pinModel(db, model, version, by, options), isPinned),
    unpin: (model, by, options) => taken((db) => unpinModel(db, model, by, options), isPinned),
    history: (model, limit) => listModelEvents(database(), model, limit),
    lineage: (version) => readModelLineage(database(), version),
  }
}
