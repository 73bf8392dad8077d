import type { Kysely } from 'kysely'
import { LockstepError } from '../kernel/errors.ts'
import type { LockstepTables } from '../migrations/schema.ts'
import type { Definition } from './definition.ts'
import { codeOf } from './definition.ts'
import { sha256 } from './sha256.ts'

/** Stored transforms with the results of their hash checks. */
export interface VerifiedCode {
  /**
   * The text stored under a hash, for the definition of that id. @throws LockstepError `CODE_HASH_MISMATCH` where it is
   * missing or is not what was stored
   */
  textOf(hash: string, id: string): string
}

/** The stored texts of these definitions' code, by hash. */
export async function storedCode(handle: Kysely<LockstepTables>, definitions: readonly Definition[]): Promise<Map<string, string>> {
  const hashes = [...new Set(definitions.map(codeOf).filter((hash) => typeof hash === 'string'))]
  if (hashes.length === 0) return new Map()
  const rows = await handle.selectFrom('lockstep.code').select(['hash', 'body']).where('hash', 'in', hashes).execute()
  return new Map(rows.map(({ hash, body }) => [hash, body]))
}

export function verifiedCode(stored: ReadonlyMap<string, string>): VerifiedCode {
  const texts = new Map([...stored].map(([hash, body]) => [hash, sha256(body) === hash ? body : null]))
  return {
    textOf(hash, id) {
      const text = texts.get(hash)
      if (text !== undefined && text !== null) return text
      const what = text === undefined ? 'is missing from the registry' : 'does not match its hash, so it was changed outside Lockstep'
      throw new LockstepError(
        'CODE_HASH_MISMATCH',
        `The stored code of "${id}" ${what}; it is not run. Apply its definitions file again; if that does not help, declare a new version.`,
        { details: { definition: id, hash } },
      )
    },
  }
}
