import { createHmac, timingSafeEqual } from 'node:crypto'

/** Signs what is stored, so that who can write to the database alone cannot have servers run what they like. */
export interface Signing {
  /** The HMAC-SHA-256 of the facts under the first key, hex. */
  sign(facts: readonly unknown[]): string
  /** Whether the facts were signed by one of the keys. */
  verify(facts: readonly unknown[], signature: string | null): boolean
  /** Whether that was the first one. */
  isNewest(facts: readonly unknown[], signature: string | null): boolean
}

/** @param keys the first one signs, all of them verify */
export function createSigning(keys: readonly [string, ...string[]]): Signing {
  const [newest] = keys
  const hmac = (key: string, facts: readonly unknown[]) => createHmac('sha256', key).update(JSON.stringify(facts)).digest()
  const fits = (key: string, facts: readonly unknown[], signature: string | null) => {
    const given = Buffer.from(signature ?? '', 'hex')
    return given.length === 32 && timingSafeEqual(given, hmac(key, facts))
  }
  return {
    sign: (facts) => hmac(newest, facts).toString('hex'),
    verify: (facts, signature) => keys.some((key) => fits(key, facts, signature)),
    isNewest: (facts, signature) => fits(newest, facts, signature),
  }
}
