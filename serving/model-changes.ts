import { LockstepError } from '../kernel/errors.ts'
import type { Actor, ModelEvent } from '../registry/model-events.ts'
import { listModelEvents } from '../registry/model-events.ts'
import type { ModelLineage } from '../registry/model-lineage.ts'
import { readModelLineage } from '../registry/model-lineage.ts'
import type { ModelVersion } from '../registry/model-versions.ts'
import type { VersionReference } from '../registry/pick-version.ts'
import type { AliasChange } from '../registry/promote.ts'
import { promoteModel, removeModelAlias, rollBackModel } from '../registry/promote.ts'
import type { Database } from '../runtime/database.ts'
import type { LiveCatalog } from './live-catalog.ts'

/** What a server changes and tells of models beyond its catalog. A change is in force on this server once it is answered; on the others within a moment. */
export interface ModelChanges {
  /** @throws LockstepError what `promoteModel` throws, `POSTGRES_UNAVAILABLE` */
  promote(model: string, version: VersionReference, alias: string, by: Actor): Promise<AliasChange>
  rollBack(model: string, alias: string, by: Actor): Promise<AliasChange>
  remove(model: string, alias: string, by: Actor): Promise<AliasChange>
  /** Newest first. */
  history(model: string, limit: number | undefined): Promise<readonly ModelEvent[]>
  lineage(version: ModelVersion): Promise<ModelLineage>
}

/** A refresh that was under way may have read what was there before, so there may be a second. */
const refreshes = 2

/** @param database throws `POSTGRES_UNAVAILABLE` where it is away */
export function createModelChanges(database: () => Database, catalog: LiveCatalog): ModelChanges {
  async function taken(change: Promise<AliasChange>): Promise<AliasChange> {
    const made = await change
    for (let i = 0; i < refreshes && (catalog.loaded?.revision ?? -1) < made.revision; i++) await catalog.refresh(database())
    if (catalog.loaded !== null && catalog.loaded.revision >= made.revision) return made
    throw new LockstepError(
      'NOT_READY',
      `The alias "${made.alias}" of the model "${made.model}" is set, but this server has not loaded what it points at yet: ${catalog.failure ?? 'it takes long'} GET /readyz says more.`,
      { details: { ...made } },
    )
  }

  return {
    promote: (model, version, alias, by) => taken(promoteModel(database(), model, version, by, alias)),
    rollBack: (model, alias, by) => taken(rollBackModel(database(), model, by, alias)),
    remove: (model, alias, by) => taken(removeModelAlias(database(), model, alias, by)),
    history: (model, limit) => listModelEvents(database(), model, limit),
    lineage: (version) => readModelLineage(database(), version),
  }
}
