import { sql } from 'kysely'
import type { StreamSpec } from '../../runtime/streams/stream-spec.ts'
import type { Database } from '../../runtime/database.ts'

/** The newest of each source that are kept, and how much of the body of each. */
export const mostDeadLetters = 1_000
const mostBodyBytes = 64 * 1024

/** A message that no row could be made of. */
export interface DeadLetter {
  /** As the feed calls the message. */
  readonly message: string
  readonly body: Uint8Array | null
  /** Why, for programs: a code, or the reason of a refused event. */
  readonly reason: string
  readonly error: string
}

/** Keeps messages that are passed over, each once however often it comes, and forgets the oldest of the source beyond a bound. */
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
        body: body === null ? null : Buffer.from(body.subarray(0, mostBodyBytes)),
        size_bytes: body?.length ?? null,
        reason,
        // a text of PostgreSQL holds no zero bytes
        error: error.replaceAll('\0', '\uFFFD').toWellFormed(),
      })),
    )
    .onConflict((conflict) => conflict.columns(['source', 'stream', 'message']).doNothing())
    .returning('id')
    .execute()
  if (kept.length === 0) return
  await sql`
    delete from lockstep.stream_dead_letters where source = ${source} and id <= (
      select id from lockstep.stream_dead_letters where source = ${source} order by id desc offset ${mostDeadLetters} limit 1
    )`.execute(db.kysely)
}

export interface DeadLetterCount {
  readonly source: string
  /** `mostDeadLetters` at most. */
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
