import { randomBytes, timingSafeEqual } from 'node:crypto'
import { sql } from 'kysely'
import { LockstepError } from '../../kernel/errors.ts'
import { findKey } from './api-keys.ts'
import { takeCode } from './code-files.ts'
import { keyHash } from './key-text.ts'
import { newSessionSecret } from './session-secret.ts'
import type { DashboardScope } from './scope.ts'
import { dashboardScopes, dashboardScopesOf } from './scope.ts'
import type { Database } from '../../runtime/postgres/database.ts'

type Handle = Pick<Database, 'kysely'>

/** Who uses the dashboard, and what for. */
export interface DashboardSession {
  /** The id of an API key, or `user@host`. */
  readonly actor: string
  readonly scopes: readonly DashboardScope[]
  readonly createdAt: Date
  /** By the clock of the database, which also set `createdAt`: that of a server may differ. */
  readonly ageMs: number
}

/** A session ends after this time without a request, and after this time in any case. */
const idleMinutes = 30
const lifeHours = 12
/** How long a one-time code can be used. */
export const codeSeconds = 60

/**
 * Begins a session with an API key.
 *
 * @returns its secret, which is not stored
 * @throws LockstepError `UNAUTHENTICATED`, `FORBIDDEN` where the key is not for the dashboard
 */
export async function beginByKey(db: Handle, text: string): Promise<string> {
  const key = await findKey(db, text)
  if (key === null) {
    throw new LockstepError(
      'UNAUTHENTICATED',
      'The API key is unknown, expired or revoked; create one with "lockstep keys create --scope ui:read".',
    )
  }
  const scopes = dashboardScopesOf(key.scopes)
  if (scopes.length === 0) {
    throw new LockstepError(
      'FORBIDDEN',
      `The key "${key.id}" is not for the dashboard; create one with "lockstep keys create --scope ui:read" (or ui:operate, ui:admin).`,
      { details: { key: key.id } },
    )
  }
  return await begin(db, { actor: key.id, key_id: key.id, scopes })
}

/**
 * Begins a session with a one-time code, which then is used up.
 *
 * @param directory the folder of the embedded database, where codes may have been left; null: there is none
 * @throws LockstepError `UNAUTHENTICATED`
 */
export async function beginByCode(db: Handle, code: string, directory: string | null): Promise<string> {
  const actor = (directory === null ? null : await takeCode(directory, code)) ?? (await useCode(db, code))
  return await begin(db, { actor, key_id: null, scopes: [...dashboardScopes] })
}

async function useCode({ kysely }: Handle, code: string): Promise<string> {
  const used = await kysely
    .deleteFrom('lockstep.ui_codes')
    .where('hash', '=', keyHash(code))
    .where('expires_at', '>', sql<Date>`now()`)
    .returning('actor')
    .executeTakeFirst()
  if (used === undefined) {
    throw new LockstepError(
      'UNAUTHENTICATED',
      `The one-time code was used, or is older than ${codeSeconds} seconds; "lockstep ui" prints a link with a new one.`,
    )
  }
  return used.actor
}

/** Makes a code that begins one session with all scopes: for those who can reach the database anyway. */
export async function issueCode({ kysely }: Handle, actor: string, seconds = codeSeconds): Promise<string> {
  const code = randomBytes(32).toString('base64url')
  await kysely
    .deleteFrom('lockstep.ui_codes')
    .where('expires_at', '<=', sql<Date>`now()`)
    .execute()
  await kysely
    .insertInto('lockstep.ui_codes')
    .values({ hash: keyHash(code), actor, expires_at: sql<Date>`now() + make_interval(secs => ${seconds})` })
    .execute()
  return code
}

/** The session of a secret; null: it has ended, or its key was revoked, rotated or has expired. */
export async function findSession({ kysely }: Handle, secret: string): Promise<DashboardSession | null> {
  const hash = keyHash(secret)
  const row = await kysely
    .selectFrom('lockstep.ui_sessions as s')
    .leftJoin('lockstep.api_keys as k', 'k.id', 's.key_id')
    .select(['s.hash', 's.actor', 's.scopes', 's.created_at', sql<boolean>`s.seen_at < now() - interval '1 minute'`.as('isOld')])
    .select(sql<number>`extract(epoch from now() - s.created_at)::float8 * 1000`.as('ageMs'))
    .where('s.hash', '=', hash)
    .where('s.expires_at', '>', sql<Date>`now()`)
    .where('s.seen_at', '>', sql<Date>`now() - make_interval(mins => ${idleMinutes}::int)`)
    .where(
      sql<boolean>`(s.key_id is null or (k.revoked_at is null and k.replaced_by is null and (k.expires_at is null or k.expires_at > now())))`,
    )
    .executeTakeFirst()
  if (row === undefined || !timingSafeEqual(row.hash, hash)) return null
  if (row.isOld) {
    // no page waits for it: the database may take no writes, or only later
    kysely
      .updateTable('lockstep.ui_sessions')
      .set({ seen_at: sql<Date>`now()` })
      .where('hash', '=', hash)
      .execute()
      .catch(() => undefined)
  }
  const { actor, created_at: createdAt, ageMs } = row
  return { actor, scopes: dashboardScopes.filter((scope) => row.scopes.includes(scope)), createdAt, ageMs }
}

export async function endSession({ kysely }: Handle, secret: string): Promise<void> {
  await kysely.deleteFrom('lockstep.ui_sessions').where('hash', '=', keyHash(secret)).execute()
}

interface Begun {
  readonly actor: string
  readonly key_id: string | null
  readonly scopes: DashboardScope[]
}

async function begin(db: Handle, begun: Begun): Promise<string> {
  const { kysely } = db
  const secret = await newSessionSecret(db)
  await kysely
    .deleteFrom('lockstep.ui_sessions')
    .where(sql<boolean>`expires_at <= now() or seen_at <= now() - make_interval(mins => ${idleMinutes}::int)`)
    .execute()
  await kysely
    .insertInto('lockstep.ui_sessions')
    .values({ ...begun, hash: keyHash(secret), expires_at: sql<Date>`now() + make_interval(hours => ${lifeHours}::int)` })
    .execute()
  return secret
}
