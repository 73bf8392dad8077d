import { LockstepError } from '../../../kernel/errors.ts'

/** How many log-ins of an address may fail in a row, and how long each counts. */
const tries = 10
const tryMs = 6000
/** How many addresses are remembered. */
const maxAddresses = 10_000

export interface LoginLimit {
  /** @throws LockstepError `RATE_LIMITED` */
  check(address: string): void
  failed(address: string): void
}

/** Limits how fast keys and codes are tried from one address. @param now milliseconds */
export function createLoginLimit(now: () => number): LoginLimit {
  /** When the last failure of an address is forgotten. */
  const busyUntil = new Map<string, number>()
  return {
    check(address) {
      const waitMs = (busyUntil.get(address) ?? 0) - now() - (tries - 1) * tryMs
      if (waitMs <= 0) return
      const retryAfterSeconds = Math.ceil(waitMs / 1000)
      throw new LockstepError('RATE_LIMITED', `Too many log-ins from "${address}" failed; try again in ${retryAfterSeconds} seconds.`, {
        details: { retryAfterSeconds },
      })
    },
    failed(address) {
      if (busyUntil.size >= maxAddresses) for (const [of, until] of busyUntil) if (until <= now()) busyUntil.delete(of)
      if (busyUntil.size >= maxAddresses) busyUntil.clear()
      busyUntil.set(address, Math.max(busyUntil.get(address) ?? 0, now()) + tryMs)
    },
  }
}
