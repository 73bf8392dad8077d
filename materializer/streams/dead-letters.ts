import { sql } from 'kysely'
import { LockstepError, messageOf } from '../../kernel/errors.ts'
import type { Catalog } from '../../registry/catalog.ts'
import type { Actor } from '../../runtime/audit.ts'
import { recordAudit, unknownActor } from '../../runtime/audit.ts'
import type { StreamSpec } from '../../kernel/specs/stream-spec.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { createRepeats } from '../../runtime/repeats.ts'

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
 * Keeps messages that are skipped, each once however often it comes. Deletes the oldest beyond `maxDeadLetters`.
 *
 * @returns how many are new
 */
export async function keepDeadLetters(
  db: Pick<Database, 'kysely'>,
  source: string,
  { kind, stream }: StreamSpec,
  letters: readonly DeadLetter[],
): Promise<number> {
  if (letters.length === 0) return 0
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
  if (kept.length === 0) return 0
  await sql`
    delete from lockstep.stream_dead_letters where source = ${source} and id <= (
      select id from lockstep.stream_dead_letters where source = ${source} order by id desc offset ${maxDeadLetters} limit 1
    )`.execute(db.kysely)
  return kept.length
}

/** A line of a log about dead letters of one reason. */
export interface DeadLetterLine {
  readonly message: string
  readonly error: string
  /** How many there were since the last line, with this one. */
  readonly letters: number
}

/** Logs dead letters: of each reason the first, and then one a minute. The table has the newest ones. */
export function createDeadLetterLog(write: (line: DeadLetterLine) => void): (letters: readonly DeadLetter[]) => void {
  const repeats = createRepeats()
  return (of) => {
    for (const { message, error, reason } of of) {
      const letters = repeats(reason)
      if (letters !== null) write({ message, error, letters })
    }
  }
}

export interface DeadLetterCount {
  readonly source: string
  /** `maxDeadLetters` at most. */
  readonly count: number
  readonly lastAt: Date
  readonly lastError: string
}

/** @param until those that had come by then; undefined: all */
export async function countDeadLetters(db: Pick<Database, 'kysely'>, until?: Date): Promise<DeadLetterCount[]> {
  const { rows } = await sql<{ source: string; count: number; at: Date; error: string }>`
    select distinct on (source) source, (count(*) over (partition by source))::int4 as count, at, error
    from lockstep.stream_dead_letters where at <= coalesce(${until ?? null}::timestamptz, 'infinity') order by source, id desc`.execute(
    db.kysely,
  )
  return rows.map(({ source, count, at, error }) => ({ source, count, lastAt: at, lastError: error }))
}

/**
 * The dead letters of a source by reason, the most first.
 *
 * @param until those that had come by then; undefined: all
 */
export async function countLettersByReason(
  db: Pick<Database, 'query'>,
  source: string,
  until?: Date,
): Promise<{ readonly reason: string; readonly count: number; readonly lastAt: Date }[]> {
  return await db.query(
    `select reason, count(*)::int4 as count, max(at) as "lastAt" from lockstep.stream_dead_letters
     where source = $1 and at <= coalesce($2::timestamptz, 'infinity')
     group by reason order by count desc, reason`,
    [source, until ?? null],
  )
}

/** Why an event or a message was refused, for programs: the reason of the error, or its code. */
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

/** A dead letter without its message. */
export interface ListedLetter extends Omit<KeptLetter, 'body'> {
  /** Whether only the beginning of the message was kept. */
  readonly cutOff: boolean
}

export interface LetterFilter extends LetterChoice {
  /** Older than the one with this id. */
  readonly before?: number | undefined
  /** Those that had come by then. */
  readonly until?: Date | undefined
  readonly limit?: number | undefined
}

/** Newest first. Reads no bodies, which may be large. */
export async function listDeadLetters({ kysely }: Pick<Database, 'kysely'>, filter: LetterFilter): Promise<ListedLetter[]> {
  const { source, ids, before, until, limit } = filter
  let query = kysely
    .selectFrom('lockstep.stream_dead_letters')
    .select(['id', 'source', 'stream', 'message', 'reason', 'error', 'size_bytes as sizeBytes', 'at'])
    .select(sql<boolean>`body is not null and octet_length(body) <> size_bytes`.as('cutOff'))
    .orderBy('id', 'desc')
  if (source !== undefined) query = query.where('source', '=', source)
  if (ids !== undefined) query = query.where('id', 'in', ids.map(String))
  if (before !== undefined) query = query.where('id', '<', String(before))
  if (until !== undefined) query = query.where('at', '<=', until)
  if (limit !== undefined) query = query.limit(limit)
  return (await query.execute()).map((row) => ({ ...row, id: Number(row.id) }))
}

export interface LetterChoice {
  /** Of this source alone. */
  readonly source?: string | undefined
  /** These alone. */
  readonly ids?: readonly number[] | undefined
}

/** Newest first. */
export async function readDeadLetters(db: Pick<Database, 'kysely'>, { source, ids }: LetterChoice): Promise<KeptLetter[]> {
  let query = db.kysely.selectFrom('lockstep.stream_dead_letters').selectAll().orderBy('id', 'desc')
  if (source !== undefined) query = query.where('source', '=', source)
  if (ids !== undefined) query = query.where('id', 'in', ids.map(String))
  const rows = await query.execute()
  return rows.map(({ id, size_bytes: sizeBytes, ...row }) => ({ ...row, id: Number(id), sizeBytes }))
}

type LetterCatalog = Pick<Catalog, 'source' | 'pipeline'>

/**
 * The ids of the chosen ones, oldest first.
 *
 * @throws LockstepError `NOT_FOUND` naming an id that does not exist; `UNKNOWN_DEFINITION` for a misspelt source
 */
export async function chosenLetterIds(
  db: Pick<Database, 'kysely'>,
  choice: LetterChoice,
  catalog: () => LetterCatalog | Promise<LetterCatalog>,
): Promise<number[]> {
  const found = (await listDeadLetters(db, choice)).map(({ id }) => id).toReversed()
  if (found.length === 0 && choice.source !== undefined) requireLetterSource(await catalog(), choice.source)
  const missing = choice.ids?.find((id) => !found.includes(id))
  if (missing === undefined) return found
  throw noDeadLetter(missing)
}

/** @throws LockstepError `NOT_FOUND` */
export async function readDeadLetter(db: Pick<Database, 'kysely'>, id: number): Promise<KeptLetter> {
  const [letter] = await readDeadLetters(db, { ids: [id] })
  if (letter === undefined) throw noDeadLetter(id)
  return letter
}

export function noDeadLetter(id: number | string): LockstepError {
  return new LockstepError('NOT_FOUND', `There is no dead letter "${id}"; "lockstep dead-letter list" shows the existing ones.`, {
    details: { id },
  })
}

/**
 * Reports a misspelt name where there are no dead letters of it.
 *
 * @param source `landings`, or `pipeline score` @throws LockstepError `UNKNOWN_DEFINITION`
 */
export function requireLetterSource(catalog: LetterCatalog, source: string): void {
  const [, pipeline] = /^pipeline (.*)$/s.exec(source) ?? []
  if (pipeline === undefined) catalog.source(source)
  else catalog.pipeline(pipeline)
}

/** A dead letter as `--json` and HTTP show it, without its message. */
export function letterJson({ id, source, stream, message, reason, error, at, sizeBytes, cutOff }: ListedLetter) {
  return { id, source, stream, message, reason, error, at: at.toISOString(), sizeBytes, cutOff }
}

/** The same with its message: text, or base64 of what is none. */
export function letterWithBody({ body, ...letter }: KeptLetter) {
  const text = body === null ? null : textIn(body)
  return {
    ...letterJson({ ...letter, cutOff: body !== null && body.length !== letter.sizeBytes }),
    body: text ?? (body === null ? null : Buffer.from(body).toString('base64')),
    keptBytes: body?.length ?? null,
    encoding: body === null ? null : text === null ? ('base64' as const) : ('utf8' as const),
  }
}

/** Returns null where the body is not text. */
function textIn(body: Uint8Array): string | null {
  try {
    // a body that was cut off may end within a character
    return new TextDecoder('utf-8', { fatal: true }).decode(body, { stream: true })
  } catch {
    return null
  }
}

/** Deletes letters, and records it in the audit log by source. @returns how many of them were there */
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
