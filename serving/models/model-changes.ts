import type { ModelEvent } from '../../registry/model-events.ts'
import type { Actor } from '../../runtime/audit.ts'
import { listModelEvents } from '../../registry/model-events.ts'
import { championAlias } from '../../registry/model-aliases.ts'
import type { ModelLineage } from '../../registry/model-lineage.ts'
import { readModelLineage } from '../../registry/model-lineage.ts'
import type { ModelVersion } from '../../registry/model-versions.ts'
import type { VersionReference } from '../../registry/pick-version.ts'
import type { AliasChange, ChangeOptions, PromoteOptions } from '../../registry/promote.ts'
import { promoteModel, removeModelAlias, rollBackModel } from '../../registry/promote.ts'
import type { Database } from '../../runtime/database.ts'
import type { LiveCatalog } from './live-catalog.ts'
import { reachRevision } from './live-catalog.ts'
import type { ModelHost } from './model-host.ts'

/** A change that is made, and whether this server answers by it. */
export interface TakenChange extends AliasChange {
  /** False where the server could not load what is new, as where the version's file takes long: it goes on trying. */
  readonly inForce: boolean
}

/** What a server changes and tells of models beyond its catalog. A change is in force on this server once it is answered, as a rule; on the others within a moment. */
export interface ModelChanges {
  /** @throws LockstepError what `promoteModel` throws, `POSTGRES_UNAVAILABLE` */
  promote(model: string, version: VersionReference, alias: string, by: Actor, options?: PromoteOptions): Promise<TakenChange>
  rollBack(model: string, alias: string, by: Actor, options?: ChangeOptions): Promise<TakenChange>
  remove(model: string, alias: string, by: Actor, options?: ChangeOptions): Promise<TakenChange>
  /** Newest first. */
  history(model: string, limit: number | undefined): Promise<readonly ModelEvent[]>
  lineage(version: ModelVersion): Promise<ModelLineage>
}

const refreshes = 2

/** @param database throws `POSTGRES_UNAVAILABLE` where it is away */
export function createModelChanges(database: () => Database, catalog: LiveCatalog, models?: Pick<ModelHost, 'answering'>): ModelChanges {
  /** Where it does not load, another version answers in its stead. */
  function answers({ model, alias, to }: AliasChange): boolean {
    const { loaded } = catalog
    const known = loaded?.models.get(model)
    if (to === null || alias !== championAlias || loaded === null || known === undefined || models === undefined) return true
    return models.answering(loaded, known)?.version === to
  }

  async function taken(change: (db: Database) => Promise<AliasChange>): Promise<TakenChange> {
    const db = database()
    const made = await change(db)
    // it is made whatever follows: who is told that it failed would make it twice
    return { ...made, inForce: (await reachRevision(catalog, db, made.revision, refreshes)) && answers(made) }
  }

  return {
    promote: (model, version, alias, by, options) => taken((db) => promoteModel(db, model, version, by, alias, options)),
    rollBack: (model, alias, by, options) => taken((db) => rollBackModel(db, model, by, alias, options)),
    remove: (model, alias, by, options) => taken((db) => removeModelAlias(db, model, alias, by, options)),
    history: (model, limit) => listModelEvents(database(), model, limit),
    lineage: (version) => readModelLineage(database(), version),
  }
}
