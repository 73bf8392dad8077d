import { messageOf } from '../../kernel/errors.ts'
import { failingText, readFailingViews } from '../../materializer/runs/failing-views.ts'
import type { FreshnessReader } from '../../monitoring/freshness/freshness-reader.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { isEmbedded } from '../../runtime/postgres/database.ts'
import type { Logger } from '../../runtime/log.ts'
import { hasWorker, noWorker } from '../../runtime/postgres/worker-sessions.ts'

/** A worker that is restarted is not missed for so long. */
const defaultGraceMs = 10_000

/**
 * Watches whether anybody keeps the online views of a shared database and store current, whether they are as fresh as
 * they declare, and whether their runs fail.
 */
interface UpkeepWatch {
  /** One sentence each, as of the last look. */
  readonly warnings: readonly string[]
  /** Never rejects. */
  check(db: Database, store: OnlineStore, catalog: Catalog): Promise<void>
}

/** @param freshness null: views that are late are not reported */
export function createUpkeepWatch(log: Logger, freshness: FreshnessReader | null, graceMs = defaultGraceMs): UpkeepWatch {
  let warnings: readonly string[] = []
  let seenAt = performance.now()

  async function failingViews(db: Database, store: OnlineStore, catalog: Catalog): Promise<string[]> {
    return [...(await readFailingViews(db, await store.identity(), [...catalog.online]))].map(([view, runs]) => failingText(view, runs))
  }

  async function look(db: Database, store: OnlineStore, catalog: Catalog): Promise<string[]> {
    const failing = await failingViews(db, store, catalog)
    // the process that serves an embedded database keeps its views current
    if (isEmbedded(db)) return failing
    const at = performance.now()
    if (await hasWorker(db)) seenAt = at
    const declared = [...catalog.views.values()].some(({ id, upkeep }) => catalog.online.has(id) && upkeep.freshnessMicros !== null)
    const found = declared ? await freshness?.() : null
    const late = found?.views.flatMap((view) => view.late ?? []) ?? []
    return [...(at - seenAt > graceMs ? [noWorker] : []), ...late, ...failing]
  }

  return {
    get warnings() {
      return warnings
    },
    async check(db, store, catalog) {
      if (catalog.online.size === 0) {
        warnings = []
        return
      }
      try {
        const found = await look(db, store, catalog)
        for (const warning of found) if (!warnings.includes(warning)) log.warn({ warning }, 'online views are not kept current')
        warnings = found
      } catch (error) {
        log.debug({ error: messageOf(error) }, 'Lockstep cannot check whether the online views are kept current')
      }
    },
  }
}
