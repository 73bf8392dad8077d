import type { Database } from '../runtime/database.ts'
import { stableInt32 } from '../runtime/stable-id.ts'

/** The advisory locks of runs, apart from others of this database. */
const group = 5_496_229

/** Does a run of a view unless another process is at one. @returns null where it is */
export async function underViewLock<T>(db: Database, store: string, view: string, run: () => Promise<T>): Promise<T | null> {
  const release = await db.tryLock(group, stableInt32(`${store} ${view}`))
  if (release === null) return null
  try {
    return await run()
  } finally {
    await release()
  }
}
