import { randomUUID } from 'node:crypto'
import { LockstepError } from '../../kernel/errors.ts'
import type { Database } from '../../runtime/postgres/database.ts'

/** An answer that is kept. */
export interface KeptAnswer {
  readonly status: number
  readonly contentType: string | null
  readonly body: Uint8Array<ArrayBuffer> | null
}

export interface IdempotentRequest {
  /** The id of the API key; empty where the server has none. */
  readonly owner: string
  /** The idempotency key of the request. */
  readonly key: string
  /** A hash of everything that the request asks for. */
  readonly fingerprint: string
}

/** The requests that clients sent with an `Idempotency-Key`, for 24 hours. */
export interface Idempotency {
  /**
   * Does the work of a request once and keeps its answer; for the same request again it returns that answer. If the
   * work fails, nothing is kept.
   *
   * @throws LockstepError `IDEMPOTENCY_KEY_REUSED` where the key was sent with another request, `IDEMPOTENCY_KEY_BUSY`
   *   while the first one is under way, and what the work throws
   */
  once(request: IdempotentRequest, work: () => Promise<KeptAnswer>): Promise<KeptAnswer>
}

const keptHours = 24
/** A request that no server has renewed for so long counts as lost with its server. */
const leaseSeconds = 30
const renewMs = 10_000

interface Row {
  readonly fingerprint: string
  readonly status: number | null
  readonly content_type: string | null
  readonly body: Uint8Array | null
}

/** @param database throws `POSTGRES_UNAVAILABLE` while it is down */
export function createIdempotency(database: () => Database): Idempotency {
  return {
    async once(request, work) {
      const db = database()
      const claim = randomUUID()
      const kept = await claimed(db, request, claim)
      if (kept !== null) return kept
      const renewing = setInterval(() => void renew(db, request, claim).catch(() => undefined), renewMs)
      try {
        const answer = await work()
        // it is done, whatever becomes of the note; or refused by an answer, as Feast's shape has it
        await (answer.status < 400 ? keep(db, request, claim, answer) : release(db, request, claim)).catch(() => undefined)
        return answer
      } catch (error) {
        await release(db, request, claim).catch(() => undefined)
        throw error
      } finally {
        clearInterval(renewing)
      }
    },
  }
}

/** @returns the answer that is kept; null: the request is to be done now */
async function claimed(db: Database, { owner, key, fingerprint }: IdempotentRequest, claim: string): Promise<KeptAnswer | null> {
  const taken = await db.query(
    `insert into lockstep.idempotency_keys as k (owner, key, fingerprint, claim, busy_until)
     values ($1, $2, $3, $4, now() + make_interval(secs => ${leaseSeconds}))
     on conflict (owner, key) do update set
       fingerprint = excluded.fingerprint, claim = excluded.claim, busy_until = excluded.busy_until,
       created_at = now(), status = null, content_type = null, body = null
     where k.created_at < now() - make_interval(hours => ${keptHours})
       or (k.status is null and k.busy_until < now() and k.fingerprint = excluded.fingerprint)
     returning claim`,
    [owner, key, fingerprint, claim],
  )
  if (taken.length > 0) return null
  const [row] = await db.query<Row>(
    'select fingerprint, status, content_type, body from lockstep.idempotency_keys where owner = $1 and key = $2',
    [owner, key],
  )
  if (row !== undefined && row.fingerprint !== fingerprint) {
    throw new LockstepError(
      'IDEMPOTENCY_KEY_REUSED',
      `The Idempotency-Key "${key}" was used for another request within the last ${keptHours} hours. Use a new key for each new request.`,
      { details: { key } },
    )
  }
  // without a row it failed meanwhile
  if (row === undefined || row.status === null) {
    throw new LockstepError(
      'IDEMPOTENCY_KEY_BUSY',
      `The request with the Idempotency-Key "${key}" is in progress; retry soon to get its answer.`,
      { details: { key } },
    )
  }
  return { status: row.status, contentType: row.content_type, body: row.body === null ? null : Uint8Array.from(row.body) }
}

async function renew(db: Database, { owner, key }: IdempotentRequest, claim: string): Promise<void> {
  await db.query(
    `update lockstep.idempotency_keys set busy_until = now() + make_interval(secs => ${leaseSeconds}) where owner = $1 and key = $2 and claim = $3`,
    [owner, key, claim],
  )
}

async function keep(db: Database, { owner, key }: IdempotentRequest, claim: string, { status, contentType, body }: KeptAnswer) {
  await db.query(
    'update lockstep.idempotency_keys set status = $4, content_type = $5, body = $6 where owner = $1 and key = $2 and claim = $3',
    [owner, key, claim, status, contentType, body === null ? null : Buffer.from(body)],
  )
}

async function release(db: Database, { owner, key }: IdempotentRequest, claim: string): Promise<void> {
  await db.query('delete from lockstep.idempotency_keys where owner = $1 and key = $2 and claim = $3 and status is null', [
    owner,
    key,
    claim,
  ])
}

/** Deletes what is older than it is kept. */
export async function forgetIdempotent(db: Database): Promise<void> {
  await db.query(`delete from lockstep.idempotency_keys where created_at < now() - make_interval(hours => ${keptHours})`)
}
