import { sql } from 'kysely'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { Actor } from '../../runtime/audit.ts'
import { recordAudit, unknownActor } from '../../runtime/audit.ts'
import type { StreamSpec } from '../../kernel/stream-spec.ts'
import type { Database } from '../../runtime/database.ts'

/** The newest of each source that are kept, and how much of the body of each. */
export const maxDeadLetters = 1_000
const maxBodyBytes = 64 * 1024

/** A message that no row could be made of. */
export interface DeadLetter {
  /** As the consumer calls the message. */
  readonly message: string
  readonly body: Uint8Array | null
  /** Why, for programs: a code, or the reason of a refused event. */
  readonly reason: string
  readonly error: string
}

/**
 * Keeps messages that are passed over, each once however often it comes, and forgets the oldest of the source beyond a
 * bound.
 */
export async function keepDeadLetters(
  db: Pick<Database, 'kysely'>,
  source: string,
  { kind, stream }: StreamSpec,
  letters: readonly DeadLetter[],
): Promise<void> {
  if (letters.length === 0) return
  const kept = await db.kysely
    .insertInto('lockstep.stream_dead_letters')
    .values(
      letters.map(({ message, body, reason, error }) => ({
        source,
        stream: `${kind}:${stream}`,
        message,
        body: body === null ? null : Buffer.from(body.subarray(0, maxBodyBytes)),
        size_bytes: body?.length ?? null,
        reason,
        error: textOf(error),
      })),
    )
    .onConflict((conflict) => conflict.columns(['source', 'stream', 'message']).doNothing())
    .returning('id')
    .execute()
  if (kept.length === 0) return
  await sql`
    delete from lockstep.stream_dead_letters where source = ${source} and id <= (
      select id from lockstep.stream_dead_letters where source = ${source} order by id desc offset ${maxDeadLetters} limit 1
    )`.execute(db.kysely)
}

export interface DeadLetterCount {
  readonly source: string
  /** `maxDeadLetters` at most. */
  readonly count: number
  readonly lastAt: Date
  readonly lastError: string
}

export async function countDeadLetters(db: Pick<Database, 'kysely'>): Promise<DeadLetterCount[]> {
  const { rows } = await sql<{ source: string; count: number; at: Date; error: string }>`
    select distinct on (source) source, (count(*) over (partition by source))::int4 as count, at, error
    from lockstep.stream_dead_letters order by source, id desc`.execute(db.kysely)
  return rows.map(({ source, count, at, error }) => ({ source, count, lastAt: at, lastError: error }))
}

/** The dead letters of a source by reason, the most first. */
export async function countLettersByReason(
  db: Pick<Database, 'query'>,
  source: string,
): Promise<{ readonly reason: string; readonly count: number; readonly lastAt: Date }[]> {
  return await db.query(
    `select reason, count(*)::int4 as count, max(at) as "lastAt" from lockstep.stream_dead_letters where source = $1
     group by reason order by count desc, reason`,
    [source],
  )
}

/** Why a message was refused, for programs. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof LockstepError)) return 'internal'
  const { reason } = error.details
  return typeof reason === 'string' ? reason : error.code.toLowerCase()
}

/** A text of PostgreSQL holds no zero bytes. */
function textOf(error: string): string {
  return error.replaceAll('\0', '\uFFFD').toWellFormed()
}

/** A dead letter as it is kept. */
export interface KeptLetter extends DeadLetter {
  readonly id: number
  readonly source: string
  /** `redis:landings` */
  readonly stream: string
  /** Of the whole message; null where there was none. */
  readonly sizeBytes: number | null
  readonly at: Date
}

export interface LetterChoice {
  /** Of this source alone. */
  readonly source?: string
  /** These alone. */
  readonly ids?: readonly number[]
}

/** Newest first. */
export async function readDeadLetters(db: Pick<Database, 'kysely'>, { source, ids }: LetterChoice): Promise<KeptLetter[]> {
  let query = db.kysely.selectFrom('lockstep.stream_dead_letters').selectAll().orderBy('id', 'desc')
  if (source !== undefined) query = query.where('source', '=', source)
  if (ids !== undefined) query = query.where('id', 'in', ids.map(String))
  const rows = await query.execute()
  return rows.map(({ id, size_bytes: sizeBytes, ...row }) => ({ ...row, id: Number(id), sizeBytes }))
}

/** The newest dead letters of a source without their bodies, newest first. */
export async function readNewestLetters(
  { kysely }: Pick<Database, 'kysely'>,
  source: string,
  limit: number,
): Promise<Omit<KeptLetter, 'body' | 'source' | 'stream'>[]> {
  const rows = await kysely
    .selectFrom('lockstep.stream_dead_letters')
    .select(['id', 'message', 'reason', 'error', 'size_bytes as sizeBytes', 'at'])
    .where('source', '=', source)
    .orderBy('id', 'desc')
    .limit(limit)
    .execute()
  return rows.map((row) => ({ ...row, id: Number(row.id) }))
}

/** Forgets letters, by source written down as done to them. @returns how many of them were there */
export async function dropDeadLetters(
  db: Pick<Database, 'kysely'>,
  ids: readonly number[],
  by: Actor = unknownActor,
  action: 'dead-letter.drop' | 'dead-letter.retry' = 'dead-letter.drop',
): Promise<number> {
  if (ids.length === 0) return 0
  return await db.kysely.transaction().execute(async (transaction) => {
    const gone = await transaction
      .deleteFrom('lockstep.stream_dead_letters')
      .where('id', 'in', ids.map(String))
      .returning(['id', 'source', 'stream', 'message'])
      .execute()
    for (const [source, letters] of Map.groupBy(gone, (letter) => letter.source)) {
      const before = letters.map(({ id, stream, message }) => ({ id: Number(id), stream, message }))
      await recordAudit({ kysely: transaction }, by, { action, subject: source, before })
    }
    return gone.length
  })
}

/** Notes why a letter is still one. */
export async function noteFailure(db: Pick<Database, 'kysely'>, id: number, error: unknown): Promise<void> {
  await db.kysely
    .updateTable('lockstep.stream_dead_letters')
    .set({ reason: reasonOf(error), error: textOf(messageOf(error)) })
    .where('id', '=', String(id))
    .execute()
}
