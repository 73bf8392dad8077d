import type { Database } from '../../runtime/postgres/database.ts'
import { stableInt32 } from '../../runtime/stable-id.ts'

/** The advisory locks of runs, apart from others of this database. */
const group = 5_496_229
/** Those of processes that remove a view's states, to restart it. */
const rebuildGroup = 5_496_232

/** Does a run of a view unless another process is at one. @returns null where it is */
export async function underViewLock<T>(db: Database, store: string, view: string, run: () => Promise<T>): Promise<T | null> {
  return await underLock(db, group, store, view, run)
}

/** Removes what is to be rebuilt of a view unless another process that lives is at it. @returns null where it is */
export async function underRebuildLock<T>(db: Database, store: string, view: string, remove: () => Promise<T>): Promise<T | null> {
  return await underLock(db, rebuildGroup, store, view, remove)
}

async function underLock<T>(db: Database, of: number, store: string, view: string, run: () => Promise<T>): Promise<T | null> {
  const release = await db.tryLock(of, stableInt32(`${store} ${view}`))
  if (release === null) return null
  try {
    return await run()
  } finally {
    await release()
  }
}
