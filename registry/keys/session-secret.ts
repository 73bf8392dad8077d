import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Database } from '../../runtime/postgres/database.ts'

type Handle = Pick<Database, 'kysely'>

const randomLength = 43
/** How long a server waits before it reads the key again: a restored database may have another one. */
const readAgainMs = 10_000

/** 256 random bits and their signature: `R…43 characters…S…43 characters`. */
export async function newSessionSecret(db: Handle): Promise<string> {
  const random = randomBytes(32).toString('base64url')
  return random + signatureOf(random, await readKey(db))
}

/** Refuses secrets that this database has not issued without a query for each. */
export interface SecretCheck {
  isIssued(db: Handle, secret: string): Promise<boolean>
}

/** @param now milliseconds */
export function createSecretCheck(now: () => number): SecretCheck {
  let key: Promise<string> | null = null
  let readAt = 0

  function read(db: Handle): Promise<string> {
    const reading = readKey(db)
    readAt = now()
    reading.catch(() => {
      if (key === reading) key = null
    })
    return reading
  }

  return {
    async isIssued(db, secret) {
      if (secret.length !== 2 * randomLength) return false
      if (key !== null && isSigned(secret, await key)) return true
      // those that come meanwhile wait for the same read
      if (key === null || now() - readAt >= readAgainMs) key = read(db)
      return isSigned(secret, await key)
    },
  }
}

function isSigned(secret: string, key: string): boolean {
  const given = Buffer.from(secret.slice(randomLength))
  const right = Buffer.from(signatureOf(secret.slice(0, randomLength), key))
  return given.length === right.length && timingSafeEqual(given, right)
}

function signatureOf(random: string, key: string): string {
  return createHmac('sha256', key).update(`dashboard session ${random}`).digest('base64url')
}

/** The secret of this database. */
async function readKey({ kysely }: Handle): Promise<string> {
  const { salt } = await kysely.selectFrom('lockstep.installation').select('salt').executeTakeFirstOrThrow()
  return salt.toString('hex')
}
