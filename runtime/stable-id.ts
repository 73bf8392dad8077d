import { createHash } from 'node:crypto'

/** A UUID that is the same for the same text. */
export function stableUuid(text: string): string {
  const hash = createHash('sha256').update(text).digest('hex')
  return [hash.slice(0, 8), hash.slice(8, 12), `4${hash.slice(13, 16)}`, `8${hash.slice(17, 20)}`, hash.slice(20, 32)].join('-')
}

/** An int4 that is the same for the same text, as the id of an advisory lock. */
export function stableInt32(text: string): number {
  return createHash('sha256').update(text).digest().readInt32BE(0)
}
