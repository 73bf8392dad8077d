import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import type { DuckDBConnection, DuckDBDataChunk } from '@duckdb/node-api'
import { LockstepError, messageOf } from '../../kernel/errors.ts'

/** A DuckDB in memory, which spills to a temporary folder. */
export interface DuckDb {
  /** @throws LockstepError `FILE_UNREADABLE` with DuckDB's own message */
  rows(sql: string): Promise<unknown[][]>
  /**
   * The rows of a query as they are made, in chunks.
   *
   * @throws LockstepError as `rows`, where the query fails after its first rows, too
   */
  stream(sql: string): AsyncGenerator<DuckDBDataChunk>
  /** As `stream`, while rows of another stream are read. The query sees no temporary table. */
  streamBeside(sql: string): AsyncGenerator<DuckDBDataChunk>
  close(): Promise<void>
}

export interface DuckDbLimits {
  /** Default: all cores. */
  readonly threads?: number | undefined
  /** Such as `4GB`. Default: four fifths of the memory. */
  readonly memory?: string | undefined
  /** Where it makes its temporary folder. Default: the system's folder for such. */
  readonly folder?: string | undefined
}

/**
 * The memory of one of several processes: its share of a size such as `4GB`, or else of four fifths of this machine's.
 */
export function memoryShare(memory: string | undefined, count: number): string {
  const [, amount, unit] = /^([\d.]+)\s*(\D+)$/.exec(memory ?? '') ?? []
  if (amount !== undefined && unit !== undefined) return `${Number(amount) / count}${unit}`
  const bytes = 0.8 * Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY)
  return `${Math.floor(bytes / count / 1e6)}MB`
}

/** @throws LockstepError `UNSUPPORTED` where the optional package is not installed */
export async function openDuckDb({ threads, memory, folder: parent = tmpdir() }: DuckDbLimits): Promise<DuckDb> {
  const { DuckDBInstance, ResultReturnType } = await import('@duckdb/node-api').catch((cause: unknown) => {
    throw new LockstepError(
      'UNSUPPORTED',
      `The engine "duckdb" needs the package "@duckdb/node-api": ${messageOf(cause)}. Install it with "npm install @duckdb/node-api".`,
      { cause },
    )
  })
  const folder = await mkdtemp(join(parent, 'lockstep-duckdb-'))
  const instance = await DuckDBInstance.create(':memory:', {
    temp_directory: folder,
    ...(threads === undefined ? {} : { threads: String(threads) }),
    ...(memory === undefined ? {} : { memory_limit: memory }),
  })
  const connection = await instance.connect()
  const failed = (cause: unknown): LockstepError =>
    new LockstepError('FILE_UNREADABLE', `DuckDB could not read the rows: ${messageOf(cause)}.`, { cause })
  async function* streamFrom(from: DuckDBConnection, sql: string): AsyncGenerator<DuckDBDataChunk> {
    try {
      const result = await from.stream(sql)
      for (let chunk = await result.fetchChunk(); chunk !== null && chunk.rowCount > 0; chunk = await result.fetchChunk()) yield chunk
      // a query that fails after its first chunk ends as one without more rows does, and the bindings have no message
      if (result.returnType === ResultReturnType.INVALID) throw endedEarly(folder)
    } catch (cause) {
      throw cause instanceof LockstepError ? cause : failed(cause)
    }
  }
  return {
    async rows(sql) {
      try {
        return await (await connection.run(sql)).getRows()
      } catch (cause) {
        throw failed(cause)
      }
    },
    stream: (sql) => streamFrom(connection, sql),
    async *streamBeside(sql) {
      const beside = await instance.connect()
      try {
        yield* streamFrom(beside, sql)
      } finally {
        beside.closeSync()
      }
    },
    async close() {
      connection.closeSync()
      instance.closeSync()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

function endedEarly(folder: string): LockstepError {
  return new LockstepError(
    'FILE_UNREADABLE',
    `DuckDB stopped before the last row of a query, and does not say why. Most often its memory or the disk of "${dirname(folder)}" is full. Give it more memory with --memory, or set TMPDIR to a folder with more room.`,
  )
}
