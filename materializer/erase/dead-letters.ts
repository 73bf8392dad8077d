import { sql } from 'kysely'
import type { Column, KeyType, Scalar, Value } from '../../kernel/values/value-type.ts'
import { deletedUnread } from '../../runtime/streams/stream-consumer.ts'
import { carriersOf } from './carriers.ts'
import type { Erasing, Holder, ReceiptPart } from './erasing.ts'
import { pipelinesOf } from './pipeline-answers.ts'

/** Dead letters of sources and pipelines that carry the entity, if their text contains all parts of the key. */
export const deadLetters: Holder = async ({ entity, values, definitions, db }) => {
  const sources = [...new Set(carriersOf(entity, definitions).map(({ source }) => source))]
  const pipelines = pipelinesOf(sources, definitions).map((name) => `pipeline ${name}`)
  const words = wordsOf(entity.key, values)
  const letters = await readLetters(db, [...sources, ...pipelines])
  const hits = letters.filter(({ readings }) => readings === null || words.every((word) => readings.some((text) => text.includes(word))))
  return await deleteLetters(
    db,
    hits.map(({ id }) => id),
    'messages that may contain the key',
  )
}

/**
 * Deletes dead letters of outcomes that name one of some predictions.
 *
 * @param ids SQL that selects the ids of the predictions
 */
export async function deleteDeadOutcomes(db: Erasing['db'], sources: readonly string[], ids: string): Promise<ReceiptPart[]> {
  const letters = await readLetters(db, sources)
  if (letters.length === 0) return []
  // an id is one word of printable ASCII; a text of PostgreSQL holds no zero bytes
  const texts = letters.map(({ readings }) => readings?.join('\n').replaceAll('\0', ' ').toWellFormed() ?? null)
  const { rows } = await sql<{ id: string }>`
    select l.id::text from unnest(${letters.map(({ id }) => id)}::int8[], ${texts}::text[]) l (id, text)
    where exists (select from (${sql.raw(ids)}) p where l.text is null or strpos(l.text, p.prediction_id) > 0)`.execute(db.kysely)
  return await deleteLetters(
    db,
    rows.map(({ id }) => id),
    'messages that may contain outcomes of its logged predictions',
  )
}

async function deleteLetters({ kysely }: Erasing['db'], ids: readonly string[], note: string): Promise<ReceiptPart[]> {
  if (ids.length === 0) return []
  await kysely.deleteFrom('lockstep.stream_dead_letters').where('id', 'in', ids).execute()
  return [{ what: 'removed', kind: 'rows', where: 'lockstep.stream_dead_letters', count: ids.length, note }]
}

interface ReadLetter {
  readonly id: string
  /** null: the message is missing, cut off or not text, so it may contain anything. */
  readonly readings: readonly string[] | null
}

async function readLetters({ kysely }: Erasing['db'], sources: readonly string[]): Promise<ReadLetter[]> {
  if (sources.length === 0) return []
  const rows = await kysely
    .selectFrom('lockstep.stream_dead_letters')
    .select(['id', 'body', 'size_bytes'])
    .where('source', 'in', sources)
    .where('reason', '!=', deletedUnread)
    .execute()
  return rows.map(({ id, body, size_bytes: size }) => ({ id, readings: body === null || body.length !== size ? null : readingsOf(body) }))
}

/** The parts of a key as texts. A time has several forms, so it is not searched. */
function wordsOf(key: readonly Column<KeyType>[], values: readonly Value[]): string[] {
  return values.flatMap((value, i) => (key[i]?.type.kind === 'timestamp' ? [] : [(value as Scalar).toString()]))
}

/** How deeply JSON within texts of JSON is read. */
const maxDepth = 4
const escapes = /\\(?:u([0-9a-f]{4})|(["\\/bfnrt]))/gi
const controls: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }
const exponents = /-?\d+(?:\.\d+)?e[+-]?\d+/gi

/**
 * The text of a message, and what it says without the escapes of JSON: `\u00e9` is é. A dead letter need not be valid
 * JSON, so it is not parsed.
 *
 * @returns null where the message is not text, or JSON is nested in texts more deeply than `maxDepth`
 */
function readingsOf(body: Uint8Array): readonly string[] | null {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch {
    return null
  }
  // a record of Avro and UTF-16 have zero bytes, JSON has none
  if (text.includes('\0')) return null
  // an int64 may be written as 1.7e1
  const readings = [text, text.replace(exponents, (number) => String(Number(number)))]
  let last = text
  for (let depth = 0; depth <= maxDepth; depth++) {
    const next = unescaped(last)
    if (next === last) return readings
    readings.push(next)
    last = next
  }
  return null
}

function unescaped(text: string): string {
  return text.replace(escapes, (_, code: string | undefined, letter: string) =>
    code === undefined ? (controls[letter] ?? letter) : String.fromCharCode(Number.parseInt(code, 16)),
  )
}
