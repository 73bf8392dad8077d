import { timingSafeEqual } from 'node:crypto'
import type { Kysely } from 'kysely'
import { sql } from 'kysely'
import { LockstepError } from '../../kernel/errors.ts'
import type { LockstepTables } from '../../migrations/schema.ts'
import type { Actor } from '../../runtime/audit.ts'
import { recordAudit, unknownActor } from '../../runtime/audit.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { databaseNowMicros } from '../../runtime/postgres/database-clock.ts'
import { registryChannel } from '../revision.ts'
import type { NewKey } from './key-text.ts'
import { keyHash, keyId, newKey } from './key-text.ts'
import type { Scope } from './scope.ts'
import { scopes } from './scope.ts'

/** An API key as it is stored. */
export interface ApiKey {
  readonly id: string
  readonly name: string
  readonly scopes: readonly Scope[]
  /** null: no limit. */
  readonly requestsPerSecond: number | null
  readonly rowsPerSecond: number | null
  readonly createdAt: Date
  readonly expiresAt: Date | null
  readonly revokedAt: Date | null
  /** Accurate to a minute; null: never used. */
  readonly lastUsedAt: Date | null
  /** The key that replaced it. */
  readonly replacedBy: string | null
}

export interface KeyRequest {
  readonly name: string
  readonly scopes: readonly Scope[]
  readonly requestsPerSecond: number | null
  readonly rowsPerSecond: number | null
  /** By the database's clock. */
  readonly expiresAt: Date | null
}

/** A new key. `text` is the key itself, which is not stored. */
export interface MadeKey {
  readonly text: string
  readonly key: ApiKey
}

export async function createKey(db: Database, request: KeyRequest, by: Actor = unknownActor): Promise<MadeKey> {
  return await db.kysely.transaction().execute(async (transaction) => {
    const made = await insertKey(transaction, request)
    await recordAudit({ kysely: transaction }, by, { action: 'keys.create', subject: made.key.id, after: audited(made.key) })
    await bumpKeys(transaction)
    return made
  })
}

/** Lists all keys, newest first, including expired and revoked ones. */
export async function listKeys(db: Database): Promise<ApiKey[]> {
  const rows = await db.kysely.selectFrom('lockstep.api_keys').select(columns).orderBy('created_at', 'desc').orderBy('id').execute()
  return rows.map(apiKey)
}

/** @throws LockstepError `UNKNOWN_DEFINITION` */
export async function readKey(db: Database, id: string): Promise<ApiKey> {
  const row = await db.kysely.selectFrom('lockstep.api_keys').select(columns).where('id', '=', id).executeTakeFirst()
  if (row === undefined) throw unknownKey(id)
  return apiKey(row)
}

/**
 * Revokes a key for good. A key that is already revoked is unchanged.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`
 */
export async function revokeKey(db: Database, id: string, by: Actor = unknownActor): Promise<ApiKey> {
  return await db.kysely.transaction().execute(async (transaction) => {
    const row = await transaction
      .updateTable('lockstep.api_keys')
      .set({ revoked_at: sql<Date>`coalesce(revoked_at, now())` })
      .where('id', '=', id)
      .returning(columns)
      .executeTakeFirst()
    if (row === undefined) throw unknownKey(id)
    const key = apiKey(row)
    await recordAudit({ kysely: transaction }, by, { action: 'keys.revoke', subject: id, after: audited(key) })
    await bumpKeys(transaction)
    return key
  })
}

/**
 * Replaces a key by a new one with the same name, scopes and limits. The new key is valid for as long as the old one
 * was when it was created. The old key keeps working for `overlapMs`, unless it expires before.
 *
 * @throws LockstepError `UNKNOWN_DEFINITION`; `INVALID_REQUEST` if the old key has ended or was already replaced
 */
export async function rotateKey(
  db: Database,
  id: string,
  { overlapMs }: { readonly overlapMs: number },
  by: Actor = unknownActor,
): Promise<MadeKey & { old: ApiKey }> {
  const now = (await databaseNowMicros(db)) / 1000
  return await db.kysely.transaction().execute(async (transaction) => {
    const row = await transaction.selectFrom('lockstep.api_keys').select(columns).where('id', '=', id).forUpdate().executeTakeFirst()
    if (row === undefined) throw unknownKey(id)
    const old = apiKey(row)
    const over = old.revokedAt !== null ? 'was revoked' : old.expiresAt !== null && old.expiresAt.getTime() <= now ? 'has expired' : null
    if (over !== null || old.replacedBy !== null) {
      const why = over ?? `was replaced by "${old.replacedBy}"`
      throw new LockstepError('INVALID_REQUEST', `The key "${id}" ${why}; create a new one with "lockstep keys create".`, {
        details: { id },
      })
    }
    const expiresAt = old.expiresAt === null ? null : new Date(now + old.expiresAt.getTime() - old.createdAt.getTime())
    const made = await insertKey(transaction, { ...old, expiresAt })
    const end = new Date(Math.min(now + overlapMs, old.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY))
    const ended = await transaction
      .updateTable('lockstep.api_keys')
      .set({ replaced_by: made.key.id, expires_at: end })
      .where('id', '=', id)
      .returning(columns)
      .executeTakeFirstOrThrow()
    await recordAudit({ kysely: transaction }, by, {
      action: 'keys.rotate',
      subject: id,
      before: audited(old),
      after: { ...audited(made.key), id: made.key.id, oldExpiresAt: ended.expires_at },
    })
    await bumpKeys(transaction)
    return { ...made, old: apiKey(ended) }
  })
}

/** Grows with every change of a key, so that servers notice that they must reload. */
export async function keysRevision(db: Database): Promise<number> {
  return (await readKeyState(db)).revision
}

/** `keysRevision`, and now by the database's clock, epoch milliseconds: keys expire by it. */
export async function readKeyState(db: Database): Promise<{ readonly revision: number; readonly nowMs: number }> {
  const row = await db.kysely
    .selectFrom('lockstep.api_key_state')
    .select(['revision', sql<number>`(extract(epoch from clock_timestamp()) * 1000)::float8`.as('now')])
    .executeTakeFirstOrThrow()
  return { revision: Number(row.revision), nowMs: row.now }
}

/** A key as a server checks it. */
export interface StoredKey {
  readonly key: ApiKey
  /** `keyHash` of the key. */
  readonly hash: Buffer
}

/** All keys that are not revoked, and whether there has ever been a key. */
export async function readKeys(db: Database): Promise<{ readonly keys: readonly StoredKey[]; readonly configured: boolean }> {
  const rows = await db.kysely
    .selectFrom('lockstep.api_keys')
    .select([...columns, 'hash'])
    .execute()
  return {
    // PGlite returns a Uint8Array, pg a Buffer
    keys: rows.filter((row) => row.revoked_at === null).map((row) => ({ key: apiKey(row), hash: Buffer.from(row.hash) })),
    configured: rows.length > 0,
  }
}

/** The key of a text, as the database has it now; null: it is unknown, expired, revoked or was rotated. */
export async function findKey(db: Pick<Database, 'kysely'>, text: string): Promise<ApiKey | null> {
  const id = keyId(text)
  if (id === null) return null
  const row = await db.kysely
    .selectFrom('lockstep.api_keys')
    .select([...columns, 'hash'])
    .where('id', '=', id)
    .where('revoked_at', 'is', null)
    .where('replaced_by', 'is', null)
    .where(sql<boolean>`(expires_at is null or expires_at > now())`)
    .executeTakeFirst()
  return row !== undefined && timingSafeEqual(Buffer.from(row.hash), keyHash(text)) ? apiKey(row) : null
}

/** Records when keys were last used: epoch milliseconds by key id. */
export async function noteUsed(db: Database, used: ReadonlyMap<string, number>): Promise<void> {
  const [ids, times] = [[...used.keys()], [...used.values()].map((ms) => new Date(ms).toISOString())]
  await db.query(
    `update lockstep.api_keys as k set last_used_at = greatest(k.last_used_at, u.at)
     from unnest($1::text[], $2::timestamptz[]) as u (id, at) where k.id = u.id`,
    [ids, times],
  )
}

const columns = [
  'id',
  'name',
  'scopes',
  'requests_per_second',
  'rows_per_second',
  'created_at',
  'expires_at',
  'revoked_at',
  'last_used_at',
  'replaced_by',
] as const

interface KeyRow {
  readonly id: string
  readonly name: string
  readonly scopes: readonly string[]
  readonly requests_per_second: number | null
  readonly rows_per_second: number | null
  readonly created_at: Date
  readonly expires_at: Date | null
  readonly revoked_at: Date | null
  readonly last_used_at: Date | null
  readonly replaced_by: string | null
}

function apiKey(row: KeyRow): ApiKey {
  return {
    id: row.id,
    name: row.name,
    scopes: scopes.filter((scope) => row.scopes.includes(scope)),
    requestsPerSecond: row.requests_per_second,
    rowsPerSecond: row.rows_per_second,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    revokedAt: row.revoked_at,
    lastUsedAt: row.last_used_at,
    replacedBy: row.replaced_by,
  }
}

function audited({ name, scopes: allowed, requestsPerSecond, rowsPerSecond, expiresAt, revokedAt }: ApiKey): object {
  return { name, scopes: allowed, requestsPerSecond, rowsPerSecond, expiresAt, revokedAt }
}

async function insertKey(transaction: Kysely<LockstepTables>, request: KeyRequest): Promise<MadeKey> {
  const { id, text, hash }: NewKey = newKey()
  const row = await transaction
    .insertInto('lockstep.api_keys')
    .values({
      id,
      hash,
      name: request.name,
      scopes: [...request.scopes],
      requests_per_second: request.requestsPerSecond,
      rows_per_second: request.rowsPerSecond,
      expires_at: request.expiresAt,
      revoked_at: null,
      last_used_at: null,
      replaced_by: null,
    })
    .returning(columns)
    .executeTakeFirstOrThrow()
  return { text, key: apiKey(row) }
}

/** Increments the revision, and notifies the listeners for changes of the registry. */
async function bumpKeys(transaction: Kysely<LockstepTables>): Promise<void> {
  await transaction
    .updateTable('lockstep.api_key_state')
    .set({ revision: sql<number>`revision + 1` })
    .execute()
  await sql`select pg_notify(${registryChannel}, 'keys')`.execute(transaction)
}

function unknownKey(id: string): LockstepError {
  return new LockstepError('UNKNOWN_DEFINITION', `There is no API key "${id}"; "lockstep keys list" lists the keys.`, {
    details: { kind: 'key', id },
  })
}
