import { backoffMs } from '../async.ts'

const restartBackoff = { firstMs: 100, maxMs: 30_000 }
/** A worker that lived this long did not fail because of its start. */
const provenMs = 60_000

/**
 * How long to wait before a worker is replaced. The first replacement is immediate, and each further wait doubles, so
 * that a worker that always fails does not load the machine.
 *
 * @param failures deaths in a row before this one
 * @param livedMs how long it lived
 * @returns the time to wait, and the consecutive deaths including this one
 */
export function backOff(failures: number, livedMs: number): { readonly waitMs: number; readonly failures: number } {
  const before = livedMs >= provenMs ? 0 : failures
  return { waitMs: backoffMs(before, restartBackoff), failures: before + 1 }
}
