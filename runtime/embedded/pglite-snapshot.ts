import { setImmediate as nextTurn } from 'node:timers/promises'
import type { PGlite, Transaction } from '@electric-sql/pglite'
import type { Snapshot, StreamOptions, TupleBatch } from '../postgres/database.ts'
import { largeJoins, parseSnapshot, stableScans } from '../postgres/snapshot-bounds.ts'
import { createTupleScanner } from '../postgres/tuple-scanner.ts'
import { parseErrorResponse, queryMessage } from '../postgres/postgres-wire.ts'

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

/**
 * Runs one read-only transaction on the only session. Streams are binary cursors in it, so that they can take turns.
 */
export function withPgliteSnapshot<T>(pglite: PGlite, fn: (snapshot: Snapshot) => Promise<T>): Promise<T> {
  return inTransaction(pglite, async (transaction) => {
    await transaction.exec('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY')
    const { rows } = await transaction.query<{ shown: string }>('SELECT pg_current_snapshot()::text AS shown')
    const bounds = parseSnapshot(rows[0]?.shown ?? '')
    let cursors = 0
    const result = await fn({
      xmin: bounds.xmin,
      bounds,
      query: async <Row>(sql: string) => (await transaction.query<Row>(sql)).rows,
      tuples: (select, options) => streamTuples(pglite, transaction, `lockstep_${++cursors}`, select, options),
    })
    // nothing was written, and a rollback also ends a transaction in which a stream has failed
    await transaction.rollback()
    return result
  })
}

async function* streamTuples(
  pglite: PGlite,
  transaction: Transaction,
  cursor: string,
  select: string,
  { stable = false, largeJoin = false }: StreamOptions = {},
): AsyncGenerator<TupleBatch, void, undefined> {
  if (stable) await transaction.exec(stableScans)
  if (largeJoin) await transaction.exec(largeJoins.join('; '))
  await transaction.exec(`DECLARE ${cursor} BINARY NO SCROLL CURSOR FOR ${select}`)
  const scanner = createTupleScanner(dataRow, skipped)
  let buffer = Buffer.allocUnsafe(batchBytes)
  let fetchRows = firstFetchRows
  let failed = false
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
      await pglite.runExclusive(() => pglite.execProtocolRawStream(fetch, { syncToFs: false, onRawData }))
      const { batch, rest } = scanner.push(buffer.subarray(0, used))
      const error = rest && parseErrorResponse(rest)
      if (error) {
        failed = true
        throw error
      }
      const rows = batch.starts.length
      if (rows > 0) yield batch
      if (rows < fetchRows) return
      fetchRows = nextFetchRows(fetchRows, used)
      // a FETCH blocks the event loop, so timers, sockets and signals get a turn here
      await nextTurn()
    }
  } finally {
    // the cursor cannot be closed in a transaction that another stream has broken, and need not be
    if (!failed && !transaction.closed) await transaction.exec(`CLOSE ${cursor}`).catch(() => undefined)
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
