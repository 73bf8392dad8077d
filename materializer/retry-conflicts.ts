import type { EntityKey } from '../kernel/values/entity-key.ts'
import { noTransactions, without } from '../kernel/states/frontier.ts'
import type { Frontier } from '../kernel/states/frontier.ts'
import { randomBackoffMs, sleep } from '../runtime/async.ts'
import type { Arrivals } from './arrivals.ts'
import type { FoldTarget } from './fold-stream.ts'
import { foldStream } from './fold-stream.ts'
import { rebatch } from './events/rebatch.ts'

const conflictBackoff = { firstMs: 4, maxMs: 20 }

/** The keys of one statement. Where the table has no index on the key, each reads the table once. */
const keysPerStatement = 20_000

/**
 * Reads again what the states of the refused keys lack of the transactions `seen`, and folds it, until none is refused
 * any more: of two writers of one state the one that comes second finds what the first has folded.
 */
export async function retryConflicts(
  target: Omit<FoldTarget, 'rows' | 'maxRanges'>,
  arrivals: Arrivals,
  seen: Frontier,
  keys: readonly EntityKey[],
): Promise<void> {
  const { plan, writer, start } = target
  let attempts = 0
  for (let refused = keys; refused.length > 0; refused = await writer.drain()) {
    await pauseBeforeRetry(attempts++)
    for (let i = 0; i < refused.length; i += keysPerStatement) {
      const part = refused.slice(i, i + keysPerStatement)
      const groups = start === 'renew' ? [{ known: noTransactions, keys: part }] : await rebatch(plan, part, target.read, seen)
      for (const group of groups) {
        const rows = without(seen, group.known)
        await foldStream({ ...target, rows, maxRanges: Number.POSITIVE_INFINITY }, arrivals(group.known, group.keys))
      }
    }
  }
}

/** Waits a random time from the second conflict in a row on, so that two writers of one state do not meet again. */
export async function pauseBeforeRetry(attempt: number): Promise<void> {
  if (attempt > 1) await sleep(randomBackoffMs(attempt - 1, conflictBackoff))
}
