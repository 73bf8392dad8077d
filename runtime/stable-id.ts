import { createHash } from 'node:crypto'

/** An int4 that is the same for the same text, as the id of an advisory lock. */
export function stableInt32(text: string): number {
  return createHash('sha256').update(text).digest().readInt32BE(0)
}
