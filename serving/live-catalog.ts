import type { Logger } from '../runtime/log.ts'
import { LockstepError, messageOf } from '../kernel/errors.ts'
import { requireMigrated } from '../runtime/migrated.ts'
import type { Catalog } from '../registry/catalog.ts'
import { loadCatalog } from '../registry/catalog.ts'
import { catalogRevision } from '../registry/revision.ts'
import type { Database } from '../runtime/database.ts'
import type { ModelHost } from './model-host.ts'

/** The catalog that requests are answered by. It changes as a whole, so each request is answered by one catalog from beginning to end. */
export interface LiveCatalog {
  /** @throws LockstepError `NOT_READY` while none was loaded */
  current(): Catalog
  readonly loaded: boolean
  /** Why the last refresh failed, or null. */
  readonly failure: string | null
  /** Loads what is new. Never rejects: where it fails, the catalog that was there stays. */
  refresh(db: Database): Promise<void>
}

export function createLiveCatalog(models: ModelHost, log: Logger): LiveCatalog {
  let catalog: Catalog | null = null
  let failure: string | null = null

  return {
    current() {
      if (catalog !== null) return catalog
      throw new LockstepError(
        'NOT_READY',
        `The server has not loaded the registry yet${failure === null ? '' : `: ${failure}`} Try again soon.`,
      )
    },
    get loaded() {
      return catalog !== null
    },
    get failure() {
      return failure
    },
    async refresh(db) {
      try {
        if (catalog === null) await requireMigrated(db.kysely)
        if (catalog === null || (await catalogRevision(db)) !== catalog.revision) {
          const next = await loadCatalog(db)
          for (const [id, error] of next.broken) log.error({ definition: id, error: error.message }, 'a definition cannot be used')
          // Models are loaded before the first request can ask for them.
          await models.prepare(next)
          catalog = next
          models.retain(next)
          log.info({ revision: next.revision, services: next.services.size, models: next.models.size }, 'the registry is loaded')
        }
        failure = null
      } catch (error) {
        const message = messageOf(error)
        if (message !== failure) log.warn({ error: message }, 'the registry cannot be read')
        failure = message
      }
    },
  }
}
