import { setImmediate as nextTurn } from 'node:timers/promises'
import type { PGlite, Transaction } from '@electric-sql/pglite'
import type { Snapshot, StreamOptions, TupleBatch } from '../postgres/database.ts'
import { sqlState } from '../postgres/relation.ts'
import { largeJoins, parseSnapshot, stableScans } from '../postgres/snapshot-bounds.ts'
import { createTupleScanner } from '../postgres/tuple-scanner.ts'
import { parseErrorResponse, queryMessage } from '../postgres/postgres-wire.ts'

/** The SQL state of a write in a read-only transaction. */
const readOnlyState = '25006'
const dataRow = 0x44
const skipped = new Set(['T', 'N', 'S'].map((type) => type.charCodeAt(0)))
const firstFetchRows = 64
const maxFetchRows = 20_000
const batchBytes = 512 * 1024

/**
 * Reports the error of `work`, not the error of the rollback after it: a failed transaction often cannot be rolled back
 * cleanly.
 */
export async function inTransaction<T>(pglite: PGlite, work: (transaction: Transaction) => Promise<T>): Promise<T> {
  let failed: { readonly error: unknown } | null = null
  const noted = async (transaction: Transaction): Promise<T> => {
    try {
      return await work(transaction)
    } catch (error) {
      failed = { error }
      throw error
    }
  }
  return await pglite.transaction(noted).catch((error: unknown) => {
    throw failed === null ? error : failed.error
  })
}

/** The reads of the only session. */
export interface PgliteSnapshots {
  /** Runs `fn` in the open snapshot, as long as `fn` of the one that began it runs, or else in a new snapshot. */
  read<T>(fn: (within: OpenSnapshot) => Promise<T>): Promise<T>
  /** Runs `fn`, which takes moments, in the open snapshot, as long as anybody reads it, or else in a new snapshot. */
  readBriefly<T>(fn: (within: OpenSnapshot) => Promise<T>): Promise<T>
  /** As `query` of PGlite. A SELECT does not wait until the open snapshot ends. */
  query: PGlite['query']
  /** As `obstacle` of the database: a snapshot has been open for long. */
  obstacle(): string | null
}

/** Not those that notify: a read-only transaction may, and if it fails the notice is lost. */
const readsOnly = /^\s*(select|with|values)\b(?!.*\bpg_notify\b)/is

/** How long a snapshot may be open before it is reported: most take less. */
const longMs = 5_000
const longSnapshot =
  'The embedded database reads many rows, as for a training set. It answers reads meanwhile. Pushes and other writes wait until it is done.'

/**
 * A snapshot is a read-only transaction on the only session. A join may take minutes, and no writer gets the session
 * until it ends. So the open snapshot shows what any other reader would see, and readers use it too.
 */
export function createPgliteSnapshots(pglite: PGlite): PgliteSnapshots {
  let open: SharedSnapshot | null = null
  let takesLongReads = false
  let openedAt: number | null = null

  async function begin<T>(fn: (within: OpenSnapshot) => Promise<T>): Promise<T> {
    const early = Promise.withResolvers<T>()
    const ended = inTransaction(pglite, async (transaction) => {
      const opened = await openSnapshot(pglite, transaction)
      open = opened
      takesLongReads = true
      openedAt = performance.now()
      const reading = opened.read(fn)
      try {
        return await reading
      } finally {
        // its caller does not wait for others
        if (opened.isUsed) early.resolve(reading)
        // brief reads go on while long ones end; then none begins, so that writers get the session
        takesLongReads = false
        await opened.whenUnused()
        open = null
        await opened.whenUnused()
        openedAt = null
      }
    })
    return await Promise.race([ended, early.promise])
  }

  return {
    read: (fn) => (open === null || !takesLongReads ? begin(fn) : open.read(fn)),
    readBriefly: (fn) => (open === null ? begin(fn) : open.read(fn)),
    async query<Row>(...[sql, ...rest]: Parameters<PGlite['query']>) {
      if (open !== null && readsOnly.test(sql)) {
        try {
          return await open.read(({ query }) => query<Row>(sql, ...rest))
        } catch (error) {
          // it also writes, such as one with FOR UPDATE
          if (sqlState(error) !== readOnlyState) throw error
        }
      }
      return await pglite.query<Row>(sql, ...rest)
    },
    obstacle: () => (openedAt !== null && performance.now() - openedAt > longMs ? longSnapshot : null),
  }
}

/** What reads a snapshot. A failed statement ends nothing but itself. */
interface OpenSnapshot {
  readonly snapshot: Snapshot
  readonly query: PGlite['query']
}

interface SharedSnapshot {
  read<T>(fn: (within: OpenSnapshot) => Promise<T>): Promise<T>
  readonly isUsed: boolean
  /** Waits for all that read it. */
  whenUnused(): Promise<void>
}

async function openSnapshot(pglite: PGlite, transaction: Transaction): Promise<SharedSnapshot> {
  await transaction.exec('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY')
  const { rows } = await transaction.query<{ shown: string }>('SELECT pg_current_snapshot()::text AS shown')
  const bounds = parseSnapshot(rows[0]?.shown ?? '')
  const readers = new Set<Promise<unknown>>()
  let lastTurn: Promise<unknown> = Promise.resolve()
  let cursors = 0

  /** No statements of others come between those of a turn. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = lastTurn.then(async () => {
      await transaction.exec('SAVEPOINT lockstep')
      try {
        const result = await work()
        await transaction.exec('RELEASE lockstep')
        return result
      } catch (error) {
        await transaction.exec('ROLLBACK TO lockstep; RELEASE lockstep').catch(() => undefined)
        throw error
      }
    })
    lastTurn = turn.catch(() => undefined)
    return turn
  }

  const within: OpenSnapshot = {
    query: (...statement) => inTurn(() => transaction.query(...statement)),
    snapshot: {
      xmin: bounds.xmin,
      bounds,
      query: async <Row>(sql: string) => (await within.query<Row>(sql)).rows,
      tuples: (select, options) => streamTuples({ pglite, transaction, inTurn, cursor: `lockstep_${++cursors}`, select }, options),
    },
  }

  return {
    async read(fn) {
      const reading = fn(within)
      readers.add(reading)
      try {
        return await reading
      } finally {
        readers.delete(reading)
      }
    },
    get isUsed() {
      return readers.size > 0
    },
    async whenUnused() {
      await Promise.allSettled(readers)
    },
  }
}

interface Stream {
  readonly pglite: PGlite
  readonly transaction: Transaction
  readonly inTurn: <T>(work: () => Promise<T>) => Promise<T>
  readonly cursor: string
  readonly select: string
}

async function* streamTuples(
  { pglite, transaction, inTurn, cursor, select }: Stream,
  { stable = false, largeJoin = false }: StreamOptions = {},
): AsyncGenerator<TupleBatch, void, undefined> {
  await inTurn(async () => {
    if (stable) await transaction.exec(stableScans)
    if (largeJoin) await transaction.exec(largeJoins)
    await transaction.exec(`DECLARE ${cursor} BINARY NO SCROLL CURSOR FOR ${select}`)
  })
  const scanner = createTupleScanner(dataRow, skipped)
  let buffer = Buffer.allocUnsafe(batchBytes)
  let fetchRows = firstFetchRows
  try {
    for (;;) {
      let used = 0
      const onRawData = (bytes: Uint8Array) => {
        if (used + bytes.length > buffer.length) {
          const larger = Buffer.allocUnsafe(Math.max(buffer.length * 2, used + bytes.length))
          buffer.copy(larger, 0, 0, used)
          buffer = larger
        }
        buffer.set(bytes, used)
        used += bytes.length
      }
      const fetch = queryMessage(`FETCH ${fetchRows} FROM ${cursor}`)
      const batch = await inTurn(async () => {
        await pglite.runExclusive(() => pglite.execProtocolRawStream(fetch, { syncToFs: false, onRawData }))
        const found = scanner.push(buffer.subarray(0, used))
        const error = found.rest && parseErrorResponse(found.rest)
        if (error) throw error
        return found.batch
      })
      const rows = batch.starts.length
      if (rows > 0) yield batch
      if (rows < fetchRows) return
      fetchRows = nextFetchRows(fetchRows, used)
      // a FETCH blocks the event loop, so timers, sockets and signals get a turn here
      await nextTurn()
    }
  } finally {
    await inTurn(() => transaction.exec(`CLOSE ${cursor}`)).catch(() => undefined)
  }
}

/**
 * The number of rows that fill a batch, estimated from the last batch. It grows in steps, because later rows may be
 * wider.
 */
function nextFetchRows(rows: number, bytes: number): number {
  const fitting = Math.floor((rows * batchBytes) / bytes)
  return Math.max(1, Math.min(fitting, rows * 4, maxFetchRows))
}
