import { createHmac } from 'node:crypto'

/**
 * What an erasure keeps of the entity that was erased: HMAC-SHA-256 of its name, a zero byte and its key, hex.
 *
 * @param named name, zero byte and key
 */
export function erasedKeyHash(salt: Uint8Array, named: Uint8Array): string {
  return createHmac('sha256', salt).update(named).digest('hex')
}
