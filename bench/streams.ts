import type { Database, Snapshot } from '../runtime/database.ts'

/** The same database, noting the streams that are read. */
export function recording(db: Database, selects: string[]): Database {
  const snapshot: Database['snapshot'] = (fn) =>
    db.snapshot((inner) => {
      const noted: Snapshot = {
        xmin: inner.xmin,
        query: (sql) => inner.query(sql),
        tuples: (select) => {
          selects.push(select)
          return inner.tuples(select)
        },
      }
      return fn(noted)
    })
  return { ...db, snapshot }
}

/** Reads streams to their end, one after the other, without decoding. */
export async function drain(db: Database, selects: readonly string[]): Promise<void> {
  await db.snapshot(async (snapshot) => {
    for (const select of selects) for await (const _ of snapshot.tuples(select));
  })
}
