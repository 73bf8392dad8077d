import { LockstepError } from '../../../kernel/errors.ts'
import { keyId } from '../../../registry/keys/key-text.ts'

/** How many log-ins with one credential may fail in a row, and how long each counts. */
const tries = 10
const tryMs = 6000
/** How many credentials are remembered. */
const maxRemembered = 10_000

export interface LoginLimit {
  /** @throws LockstepError `RATE_LIMITED` */
  check(address: string, credential: string): void
  failed(address: string, credential: string): void
}

/**
 * Limits how fast one credential is tried from one address. The address alone is not enough to tell people apart: all
 * those behind a proxy have the proxy's.
 *
 * @param now milliseconds
 */
export function createLoginLimit(now: () => number): LoginLimit {
  /** When the last failure of a credential is forgotten. */
  const busyUntil = new Map<string, number>()
  return {
    check(address, credential) {
      const waitMs = (busyUntil.get(bucketOf(address, credential)) ?? 0) - now() - (tries - 1) * tryMs
      if (waitMs <= 0) return
      const retryAfterSeconds = Math.ceil(waitMs / 1000)
      throw new LockstepError(
        'RATE_LIMITED',
        `Too many log-ins with this key or code from "${address}" failed; try again in ${retryAfterSeconds} seconds.`,
        { details: { retryAfterSeconds } },
      )
    },
    failed(address, credential) {
      if (busyUntil.size >= maxRemembered) for (const [of, until] of busyUntil) if (until <= now()) busyUntil.delete(of)
      if (busyUntil.size >= maxRemembered) busyUntil.clear()
      const bucket = bucketOf(address, credential)
      busyUntil.set(bucket, Math.max(busyUntil.get(bucket) ?? 0, now()) + tryMs)
    },
  }
}

/** A key is named by its id. A one-time code has none; it is named by its first 48 bits, and has 208 more to guess. */
function bucketOf(address: string, credential: string): string {
  return `${address} ${keyId(credential) ?? credential.slice(0, 8)}`
}
