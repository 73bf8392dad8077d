import type { IncomingHttpHeaders } from 'node:http'
import { timingSafeEqual } from 'node:crypto'
import { LockstepError } from '../../kernel/errors.ts'
import { quotedNames } from '../../kernel/values/quoted-names.ts'
import type { ApiKey, StoredKey } from '../../registry/keys/api-keys.ts'
import { noteUsed, readKeys, readKeyState } from '../../registry/keys/api-keys.ts'
import { keyHash, keyId } from '../../registry/keys/key-text.ts'
import type { Scope } from '../../registry/keys/scope.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import type { Logger } from '../../runtime/log.ts'
import { requireMigrated } from '../../runtime/postgres/migrated.ts'
import { orTimeout } from '../../runtime/async.ts'
import type { Refresher } from '../lifecycle/refresher.ts'
import { createRefresher } from '../lifecycle/refresher.ts'

/**
 * `auto`: keys are needed once there has ever been one, or where other machines reach the server; `required`: always;
 * `off`: never.
 */
export type AuthMode = 'auto' | 'required' | 'off'

/** The API key of a request, and what it may do. */
export type Principal = Pick<ApiKey, 'id' | 'name' | 'scopes' | 'requestsPerSecond' | 'rowsPerSecond'>

/**
 * The API keys as the server last read them. A check asks no database, so known keys work while it is down. Only for a
 * key that it does not know the database is asked, as the key may be newer: `lookUp`. A refresh also notes which were
 * used.
 */
export interface KeyRing extends Pick<Refresher, 'refresh' | 'distrust'> {
  /**
   * Checks the key of a request.
   *
   * @param text the key; null: the request has none
   * @returns null where no key is needed
   * @throws LockstepError `UNAUTHENTICATED`, `FORBIDDEN`, or `NOT_READY` until the keys are loaded
   */
  authorize(text: string | null, scope: Scope): Principal | null
  /**
   * Reads the keys again for a request that `authorize` has refused, if its key may be newer than those that are known.
   * So a key works as soon as it is created. Invented keys cause few reads, and few of their requests wait: 20 at once,
   * and 10 a second.
   *
   * @param text the key; null: the request has none
   * @returns undefined: nothing would change. The promise never rejects
   */
  lookUp(text: string | null): Promise<void> | undefined
  /** Whether the keys are loaded, or not needed. */
  readonly known: boolean
  /** Whether there has ever been a key. */
  readonly configured: boolean
  /** Whether there is a key for the dashboard alone. */
  readonly hasDashboardKey: boolean
  /** Whether requests need a key. */
  readonly required: boolean
  /** Whether they need none only because there has never been one, which may not be intended. */
  readonly unprotected: boolean
  /** From now on other machines reach the server. */
  expose(): void
}

export interface KeyRingDeps {
  readonly mode: AuthMode
  readonly log: Logger
  /** Milliseconds of a clock that is never set, unlike that of the machine. Default: `performance.now`. */
  readonly now?: () => number
}

/** How often the use of keys is written to the database. */
const noteEveryMs = 15_000
/** How long a request may wait for its key to be looked up. */
const lookUpMs = 2000
const maxLookUps = 20
const lookUpsPerSecond = 10
const maxAbsent = 1000

export function createKeyRing({ mode, log, now = () => performance.now() }: KeyRingDeps): KeyRing {
  let keys = new Map<string, StoredKey>()
  /** By their complete texts: those of `keys` that were verified by their SHA-256. A look-up compares seeded hashes. */
  let proven = new Map<string, StoredKey>()
  let revision: number | null = null
  let configured = false
  let exposed = false
  let used = new Map<string, number>()
  let notedAt = Number.NEGATIVE_INFINITY
  /** The database from which the keys were read last. */
  let source: Database | null = null
  /** The ids that were looked up and that the database does not have. */
  const absent = new Set<string>()
  let lookUpsLeft = maxLookUps
  let lookUpsAt = 0
  /** How far the database's clock is ahead of `now`, as of the last read. */
  let aheadMs = 0

  /** By the database's clock: a wrong clock of this machine keeps no expired key valid. */
  const sharedNow = () => now() + aheadMs
  const isValid = ({ expiresAt }: ApiKey) => expiresAt === null || expiresAt.getTime() > sharedNow()
  const required = () => mode !== 'off' && (mode === 'required' || configured || exposed)

  function takeLookUp(): boolean {
    const at = now()
    lookUpsLeft = Math.min(maxLookUps, lookUpsLeft + (Math.max(0, at - lookUpsAt) / 1000) * lookUpsPerSecond)
    lookUpsAt = at
    if (lookUpsLeft < 1) return false
    lookUpsLeft--
    return true
  }

  async function readAgain(id: string, db: Database): Promise<void> {
    // a read that is under way may have begun before the key was created
    await refresher.refreshAfresh(db)
    if (refresher.failure !== null || keys.has(id)) return
    if (absent.size >= maxAbsent) absent.clear()
    absent.add(id)
  }

  async function load(db: Database, isDistrusted: boolean): Promise<void> {
    if (revision === null) await requireMigrated(db.kysely)
    const before = now()
    const { revision: newest, nowMs } = await readKeyState(db)
    aheadMs = nowMs - before
    if (newest !== revision || isDistrusted) {
      const read = await readKeys(db)
      keys = new Map(read.keys.map((stored) => [stored.key.id, stored]))
      proven = new Map()
      absent.clear()
      configured = read.configured
      // a change since then has a later revision
      revision = newest
      log.info({ keys: keys.size }, 'the API keys are loaded')
      if (!required())
        log.warn('there are no API keys: anyone who can reach this server may do anything; create one with "lockstep keys create"')
    }
    if (used.size === 0 || now() - notedAt < noteEveryMs) return
    const noted = used
    used = new Map()
    notedAt = now()
    await noteUsed(db, noted)
  }

  const refresher = createRefresher({ load, log, failed: 'the API keys cannot be read', late: 'The API keys were not loaded' })

  return {
    authorize(text, scope) {
      if (mode === 'off') return null
      if (revision === null) {
        throw new LockstepError('NOT_READY', 'The server has not loaded the API keys yet; GET /readyz says why. Try again soon.')
      }
      if (!required()) return null
      if (text === null) {
        throw unauthenticated('This needs an API key: send it as "Authorization: Bearer KEY" or as "x-api-key: KEY".', false)
      }
      let stored = proven.get(text)
      if (stored === undefined) {
        const id = keyId(text)
        stored = id === null ? undefined : keys.get(id)
        if (stored === undefined || !timingSafeEqual(stored.hash, keyHash(text))) {
          throw unauthenticated('The API key is unknown or was revoked; create one with "lockstep keys create".')
        }
        proven.set(text, stored)
      }
      const { key } = stored
      const at = sharedNow()
      if (key.expiresAt !== null && key.expiresAt.getTime() <= at) {
        throw unauthenticated(`The API key "${key.id}" expired at ${key.expiresAt.toISOString()}; create one with "lockstep keys create".`)
      }
      checkScope(key, scope)
      used.set(key.id, at)
      return key
    },
    lookUp(text) {
      const id = text === null || revision === null ? null : keyId(text)
      if (id === null || keys.has(id) || absent.has(id) || source === null || refresher.failure !== null || !takeLookUp()) return undefined
      return orTimeout(readAgain(id, source), lookUpMs).then(() => undefined)
    },
    get known() {
      return mode === 'off' || revision !== null
    },
    get configured() {
      return configured
    },
    get hasDashboardKey() {
      return [...keys.values()].some(({ key }) => isValid(key) && key.scopes.some((scope) => scope.startsWith('ui:')))
    },
    get required() {
      return required()
    },
    get unprotected() {
      return mode === 'auto' && !required()
    },
    expose() {
      exposed = true
    },
    async refresh(db) {
      if (mode === 'off') return
      source = db
      await refresher.refresh(db)
    },
    distrust: refresher.distrust,
  }
}

/** @throws LockstepError `FORBIDDEN` where a key has neither the scope nor that of an admin */
export function checkScope({ id, scopes }: Pick<Principal, 'id' | 'scopes'>, scope: Scope): void {
  if (scopes.includes(scope) || scopes.includes('admin')) return
  throw new LockstepError('FORBIDDEN', `This needs an API key with the scope "${scope}"; the key "${id}" has ${quotedNames(scopes)}.`, {
    details: { scope, key: id },
  })
}

/** The key of a request: that of `Authorization: Bearer`, else that of `x-api-key`; null where there is none. */
export function keyInHeaders(headers: IncomingHttpHeaders): string | null {
  const { authorization } = headers
  if (authorization !== undefined && /^bearer /i.test(authorization)) return authorization.slice(7).trim()
  const sent = headers['x-api-key']
  return typeof sent === 'string' ? sent.trim() : null
}

function unauthenticated(message: string, sent = true): LockstepError {
  return new LockstepError('UNAUTHENTICATED', message, { details: { sent } })
}
