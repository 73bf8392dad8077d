import { LockstepError } from '../../../kernel/errors.ts'
import { keyId } from '../../../registry/keys/key-text.ts'

/** How many log-ins may fail in a row, and how long each counts. */
interface Limit {
  readonly tries: number
  readonly tryMs: number
}
const perCredential: Limit = { tries: 10, tryMs: 6000 }
/** Wide, because all people behind a proxy have its address. It bounds the work that made-up keys cause. */
const perAddress: Limit = { tries: 300, tryMs: 200 }
/** How many credentials and addresses are remembered. */
const maxRemembered = 10_000

export interface LoginLimit {
  /** @throws LockstepError `RATE_LIMITED` */
  check(address: string, credential: string): void
  failed(address: string, credential: string): void
}

/**
 * Limits how fast one credential is tried from one address, and more widely how fast any are.
 *
 * @param now milliseconds
 */
export function createLoginLimit(now: () => number): LoginLimit {
  /** When the last failure is forgotten, the longest unchanged first. */
  const busyUntil = new Map<string, number>()
  const waitOf = (bucket: string, { tries, tryMs }: Limit): number => (busyUntil.get(bucket) ?? 0) - now() - (tries - 1) * tryMs
  const count = (bucket: string, { tryMs }: Limit): void => {
    const until = Math.max(busyUntil.get(bucket) ?? 0, now()) + tryMs
    busyUntil.delete(bucket)
    busyUntil.set(bucket, until)
    const [oldest] = busyUntil.keys()
    if (busyUntil.size > maxRemembered && oldest !== undefined) busyUntil.delete(oldest)
  }
  return {
    check(address, credential) {
      const waitMs = Math.max(waitOf(bucketOf(address, credential), perCredential), waitOf(address, perAddress))
      if (waitMs <= 0) return
      const retryAfterSeconds = Math.ceil(waitMs / 1000)
      throw new LockstepError('RATE_LIMITED', `Too many log-ins from "${address}" failed; try again in ${retryAfterSeconds} seconds.`, {
        details: { retryAfterSeconds },
      })
    },
    failed(address, credential) {
      count(address, perAddress)
      count(bucketOf(address, credential), perCredential)
    },
  }
}

/** A key is named by its id. A one-time code has none; it is named by its first 48 bits, and has 208 more to guess. */
function bucketOf(address: string, credential: string): string {
  return `${address} ${keyId(credential) ?? credential.slice(0, 8)}`
}
