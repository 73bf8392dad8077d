import { sleep } from '../runtime/async.ts'
import type { Database } from '../runtime/database.ts'
import { readJobs } from '../runtime/jobs/read-jobs.ts'

const lookMs = 500

/** Resolves when no job of these kinds has run for so long, or with the signal. */
export async function untilIdle(db: Database, kinds: readonly string[], idleMs: number, signal: AbortSignal): Promise<void> {
  let since = performance.now()
  while (!signal.aborted && performance.now() - since < idleMs) {
    for (const kind of kinds) if ((await readJobs(db, { kind, state: 'running', limit: 1 })).length > 0) since = performance.now()
    await sleep(Math.min(lookMs, idleMs), { signal })
  }
}
