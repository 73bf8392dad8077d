import type { Connection, PoolClient, Submittable } from 'pg'
import type { TupleBatch } from './database.ts'
import { createTupleScanner } from './tuple-scanner.ts'

const copyData = 0x64
const skipped = new Set(['H', 'N', 'S', 'c'].map((type) => type.charCodeAt(0)))
const readAheadChunks = 4

/** A running `COPY … TO STDOUT (FORMAT binary)`, for `client.query(copyOut)`. */
export interface CopyOut extends Submittable {
  /** The next rows; null when all rows have been read and the connection is free for the next statement. */
  next(): Promise<TupleBatch | null>
  /** Aborts the COPY by closing the connection, which is then unusable. */
  abort(): void
}

/** Passes the rows of one SELECT to `onBatch`. After a failure the connection is unusable. */
export async function copyTuples(client: PoolClient, select: string, onBatch: (batch: TupleBatch) => void): Promise<void> {
  const copyOut = createCopyOut(copySql(select))
  client.query(copyOut)
  try {
    for (let batch = await copyOut.next(); batch !== null; batch = await copyOut.next()) onBatch(batch)
  } catch (error) {
    copyOut.abort()
    throw error
  }
}

export function copySql(select: string): string {
  return `COPY (${select}) TO STDOUT (FORMAT binary)`
}

/**
 * Reads the socket directly while the COPY runs, as pg-copy-streams does. This finds the rows without copying them: a
 * batch is a chunk of the socket. The driver's own parser gets everything that is not a row. The socket is paused while
 * the reader lags behind.
 *
 * A row of four columns takes 0.10 us of CPU so. With pg-copy-streams 7 it takes 0.15 us, and 0.18 us where the rows
 * are found in its chunks.
 */
export function createCopyOut(sql: string): CopyOut {
  const scanner = createTupleScanner(copyData, skipped)
  const chunks: Buffer[] = []
  let socket: Connection['stream'] | null = null
  let driver: ((chunk: Buffer) => void) | null = null
  let attached = false
  let finished = false
  let failure: Error | null = null
  let wake: (() => void) | null = null

  const notify = () => {
    wake?.()
    wake = null
  }
  const onData = (chunk: Buffer) => {
    chunks.push(chunk)
    if (chunks.length >= readAheadChunks) socket?.pause()
    notify()
  }
  /** Returns the socket to the driver, with the bytes that belong to the driver. */
  const detach = (rest: Buffer) => {
    if (!attached || socket === null || driver === null) return
    attached = false
    socket.off('data', onData)
    socket.on('data', driver)
    const unread = [rest, ...chunks]
    chunks.length = 0
    for (const chunk of unread) driver(chunk)
    socket.resume()
  }

  const copyOut = {
    submit(connection: Connection) {
      socket = connection.stream
      // pg's parser is the only listener for the socket's data
      driver = socket.listeners('data')[0] as (chunk: Buffer) => void
      socket.off('data', driver)
      socket.on('data', onData)
      attached = true
      connection.query(sql)
    },
    async next(): Promise<TupleBatch | null> {
      for (;;) {
        const chunk = attached ? chunks.shift() : undefined
        if (chunk !== undefined) {
          if (chunks.length === 0) socket?.resume()
          const { batch, rest } = scanner.push(chunk)
          if (rest !== null) detach(rest)
          if (batch.starts.length > 0) return batch
          continue
        }
        if (failure !== null) throw failure
        if (finished) return null
        await new Promise<void>((resolve) => (wake = resolve))
      }
    },
    abort() {
      socket?.destroy()
    },
    // pg's client calls these on the running query
    handleError(error: Error) {
      failure = error
      notify()
    },
    handleReadyForQuery() {
      finished = true
      notify()
    },
    handleCommandComplete() {},
  }
  return copyOut
}
