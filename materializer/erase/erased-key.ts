import { createHmac } from 'node:crypto'

/**
 * The hash by which an erasure remembers an erased entity: HMAC-SHA-256 of its name, a zero byte and its key, hex.
 *
 * @param named name, zero byte and key
 */
export function erasedKeyHash(salt: Uint8Array, named: Uint8Array): string {
  return createHmac('sha256', salt).update(named).digest('hex')
}
