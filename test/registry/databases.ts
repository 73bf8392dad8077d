import type { Database } from '../../runtime/database.ts'
import type { OpenedDatabase } from '../opened-database.ts'
import { openEmbedded, openServer } from '../opened-database.ts'

export interface TestRegistry extends OpenedDatabase {
  /** For a connection of one's own; null where there can be none. */
  readonly url: string | null
  /** Empties the registry, the tables of sources and `flights`. */
  reset(): Promise<void>
}

/** A migrated database of that kind. */
export async function openRegistry(kind: 'postgres' | 'pglite'): Promise<TestRegistry> {
  const opened = kind === 'postgres' ? await openServer() : { url: null, ...(await openEmbedded()) }
  return { ...opened, reset: () => reset(opened.db) }
}

async function reset(db: Database): Promise<void> {
  await db.script(`
    truncate lockstep.definitions, lockstep.code, lockstep.model_versions, lockstep.model_aliases, lockstep.model_pins, lockstep.rollouts, lockstep.shadows, lockstep.model_events, lockstep.audit_log, lockstep.api_keys cascade;
    update lockstep.registry_state set revision = 0;
    drop schema lockstep_source cascade;
    create schema lockstep_source;
    drop table if exists flights;
  `)
}
