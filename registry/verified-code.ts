import { createHash } from 'node:crypto'
import type { Kysely } from 'kysely'
import { LockstepError } from '../kernel/errors.ts'
import type { LockstepTables } from '../migrations/schema.ts'

/** Stored transforms, each with its hash found right or wrong. */
export interface VerifiedCode {
  /** The text stored under a hash, for the definition of that id. @throws LockstepError `CODE_HASH_MISMATCH` where it is missing or is not what was stored */
  textOf(hash: string, id: string): string
}

export async function verifiedCode(handle: Kysely<LockstepTables>): Promise<VerifiedCode> {
  const rows = await handle.selectFrom('lockstep.code').select(['hash', 'body']).execute()
  const texts = new Map(rows.map(({ hash, body }) => [hash, createHash('sha256').update(body).digest('hex') === hash ? body : null]))
  return {
    textOf(hash, id) {
      const text = texts.get(hash)
      if (text !== undefined && text !== null) return text
      const what =
        text === undefined
          ? 'is missing from the registry'
          : 'does not have the hash that it was stored under, so it was changed outside Lockstep'
      throw new LockstepError(
        'CODE_HASH_MISMATCH',
        `The stored code of "${id}" ${what}; it is not run. Apply the definitions file that it came from again, which puts it right; if that does not, declare a new version.`,
        { details: { definition: id, hash } },
      )
    },
  }
}
