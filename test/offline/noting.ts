import type { Database, Snapshot } from '../../runtime/postgres/database.ts'

/** The same database, recording the streams that are read and the number of batches of each. */
export function noting(db: Database, selects: string[], batches = new Map<string, number>()): Database {
  const noted = (inner: Snapshot): Snapshot => ({
    ...inner,
    async *tuples(select, options) {
      selects.push(select)
      for await (const batch of inner.tuples(select, options)) {
        batches.set(select, (batches.get(select) ?? 0) + 1)
        yield batch
      }
    },
  })
  return { ...db, snapshot: (fn) => db.snapshot((inner) => fn(noted(inner))) }
}
