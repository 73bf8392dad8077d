import { randomUUID } from 'node:crypto'
import { memoizeWeak } from '../kernel/memoize-weak.ts'
import type { Database } from '../runtime/postgres/database.ts'

/**
 * Proof that a store and a database have the same history. A process numbers its witnesses. It commits a number to the
 * database after the transactions whose rows it has folded, and then writes it to the view's checkpoint in the store. A
 * database that was set back has lost the number together with those transactions. No later transaction brings it back,
 * because a process that finds its last number lost takes another name.
 */
export interface Witness {
  /** The process, a UUID. */
  readonly writer: string
  readonly number: number
}

type Handle = Pick<Database, 'query'>

interface Committed {
  readonly witness: Witness
  /** By index of the present ones. */
  readonly known: readonly boolean[]
}

interface Writer {
  last: Witness | null
  /** The end of the last call: one runs after the other. */
  done: Promise<unknown>
}

/** The names of this process, by database and store. */
const writersOf = memoizeWeak((_db: Handle) => new Map<string, Writer>())

/** Which witnesses the database knows, as an array. $1 and $2 are those of `witnessColumns`. */
export const areKnown = `array(
  select p.writer is null or exists (select from lockstep.store_witnesses w where w.writer = p.writer and w.number >= p.number)
  from unnest($1::uuid[], $2::bigint[]) with ordinality as p(writer, number, i) order by i)`

/** Which of the witnesses the database knows, by index. None is known by each. */
export async function knownWitnesses(db: Handle, witnesses: readonly (Witness | undefined)[]): Promise<readonly boolean[]> {
  if (witnesses.every((witness) => witness === undefined)) return witnesses.map(() => true)
  const [row] = await db.query<{ known: boolean[] }>(`select ${areKnown} as known`, witnessColumns(witnesses))
  return row?.known ?? []
}

/**
 * Commits the next witness of this process. The same statement asks which of the present ones the database knows, so
 * that no restore comes between the two.
 *
 * @param store its identity
 */
export async function nextWitness(db: Handle, store: string, present: readonly (Witness | undefined)[]): Promise<Committed> {
  const writers = writersOf(db)
  const writer = writers.get(store) ?? { last: null, done: Promise.resolve() }
  writers.set(store, writer)
  const next = writer.done.then(() => commitNext(db, store, writer, present))
  writer.done = next.catch(() => undefined)
  return await next
}

async function commitNext(db: Handle, store: string, writer: Writer, present: readonly (Witness | undefined)[]): Promise<Committed> {
  for (;;) {
    const witness = { writer: writer.last?.writer ?? randomUUID(), number: (writer.last?.number ?? 0) + 1 }
    // Where it fails, it may have been committed: then the name is not used again.
    writer.last = null
    const write =
      witness.number === 1
        ? 'insert into lockstep.store_witnesses (writer, store, number) values ($3, $4, $5)'
        : 'update lockstep.store_witnesses set number = $5, written_at = clock_timestamp() where writer = $3 and store = $4 and number = $5 - 1'
    const [row] = await db.query<{ known: boolean[]; written: number }>(
      `with mine as (${write} returning 1) select ${areKnown} as known, (select count(*) from mine)::int as written`,
      [...witnessColumns(present), witness.writer, store, witness.number],
      { prepared: true },
    )
    if (row === undefined || row.written === 0) continue
    writer.last = witness
    return { witness, known: row.known }
  }
}

/** A witness that no database knows. */
export function unknownWitness(): Witness {
  return { writer: randomUUID(), number: 1 }
}

/** The writers and the numbers of witnesses, null for none. */
export function witnessColumns(witnesses: readonly (Witness | undefined)[]): unknown[] {
  return [witnesses.map((witness) => witness?.writer ?? null), witnesses.map((witness) => witness?.number ?? null)]
}
