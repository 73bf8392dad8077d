import { backoffMs } from '../async.ts'

const restartBackoff = { firstMs: 100, maxMs: 30_000 }
/** Who lived for so long did not die of how it began. */
const provenMs = 60_000

/**
 * How long to wait before a worker is replaced, so that one that cannot live does not keep the machine busy: at first at once, then twice as long each time.
 *
 * @param failures deaths in a row before this one
 * @param livedMs how long it lived
 * @returns the time to wait, and the deaths in a row with this one
 */
export function backOff(failures: number, livedMs: number): { readonly waitMs: number; readonly failures: number } {
  const before = livedMs >= provenMs ? 0 : failures
  return { waitMs: backoffMs(before, restartBackoff), failures: before + 1 }
}
