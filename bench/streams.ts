import type { Database, Snapshot, StreamOptions } from '../runtime/postgres/database.ts'

export interface ReadStream {
  readonly select: string
  readonly options?: StreamOptions | undefined
}

/** The same database, recording the streams that are read. */
export function recording(db: Database, streams: ReadStream[]): Database {
  const snapshot: Database['snapshot'] = (fn) =>
    db.snapshot((inner) => {
      const noted: Snapshot = {
        xmin: inner.xmin,
        bounds: inner.bounds,
        query: (sql) => inner.query(sql),
        tuples: (select, options) => {
          streams.push({ select, options })
          return inner.tuples(select, options)
        },
      }
      return fn(noted)
    })
  return { ...db, snapshot }
}

/** Reads streams to their end, one after the other, without decoding. */
export async function drain(db: Database, streams: readonly ReadStream[]): Promise<void> {
  await db.snapshot(async (snapshot) => {
    for (const { select, options } of streams) for await (const _ of snapshot.tuples(select, options));
  })
}
