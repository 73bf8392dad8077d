import type { OpenedDatabase } from '../opened-database.ts'
import { openEmbedded, openServer } from '../opened-database.ts'

export type { OpenedDatabase }

/**
 * Each kind of database, newly opened and migrated. The English one shows that nothing depends on the database's own
 * order of texts.
 */
export const databases: readonly { readonly kind: string; readonly open: () => Promise<OpenedDatabase> }[] = [
  { kind: 'PostgreSQL with English collation', open: () => openServer({ collation: 'en' }) },
  { kind: 'PGlite', open: () => openEmbedded() },
]
