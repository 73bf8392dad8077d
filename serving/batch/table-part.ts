import { createHash } from 'node:crypto'
import { LockstepError } from '../../kernel/errors.ts'
import type { Column, ValueType } from '../../kernel/values/value-type.ts'
import { typeName } from '../../kernel/values/value-type.ts'
import { createCopyEncoder } from '../../offline/rows/copy-encoder.ts'
import type { DatasetOutput } from '../../offline/files/dataset-writer.ts'
import { openSpool } from '../../offline/spool.ts'
import { sqlTypeName } from '../../offline/rows/sql-type.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sqlState } from '../../runtime/postgres/relation.ts'
import { sqlIdentifier, sqlText } from '../../runtime/postgres/sql.ts'
import type { WrittenBatchPart } from './batch-output.ts'
import type { BatchSpec } from './batch-spec.ts'
import { partName } from './batch-spec.ts'
import { columnList } from './publish-sql.ts'

const uniqueViolation = '23505'

export interface TablePart extends Pick<BatchSpec, 'id'> {
  readonly part: number
  readonly format: BatchSpec['request']['format']
  readonly columns: readonly Column<ValueType>[]
  /** The tables of the batch, as SQL names: its rows, and a line for each part that is written. */
  readonly rows: string
  readonly parts: string
}

/** Spools the rows of a part, and copies them into their table in one transaction with its line. */
export async function openTablePart(
  db: Database,
  { id, part, format, columns, rows, parts }: TablePart,
): Promise<DatasetOutput<WrittenBatchPart>> {
  const name = partName(part, format)
  const spool = await openSpool()
  const hash = createHash('sha256')
  const encoder = createCopyEncoder(
    `part ${part} of the batch "${id}"`,
    columns.map(({ name: column, type }) => ({
      from: { name: column, type: columnType(type, column), described: typeName(type) },
      type: sqlTypeName(columnType(type, column)),
      nullable: true,
    })),
  )
  let count = 0
  let bytes = 0

  async function keep(chunk: Uint8Array): Promise<void> {
    hash.update(chunk)
    bytes += chunk.length
    await spool.write(chunk)
  }

  async function copy(written: WrittenBatchPart): Promise<void> {
    await db.copyIn(`COPY ${rows} (${columnList(columns.map((column) => column.name))}) FROM STDIN (FORMAT binary)`, spool.read(), {
      before: [`INSERT INTO ${parts} (part) VALUES (${part})`],
      after: () => `UPDATE ${parts} SET written = ${sqlText(JSON.stringify(written))} WHERE part = ${part}`,
      onRows: () => undefined,
    })
  }

  /** @throws LockstepError `NOT_REPRODUCIBLE` if the part was written with other rows */
  async function requireSame({ sha256 }: WrittenBatchPart, cause: unknown): Promise<void> {
    const [there] = await db.query<{ written: WrittenBatchPart }>(`SELECT written FROM ${parts} WHERE part = $1 AND written IS NOT NULL`, [
      part,
    ])
    if (there?.written.sha256 === sha256) return
    throw new LockstepError(
      'NOT_REPRODUCIBLE',
      `Part ${part} of the batch "${id}" was written with other rows before. A source has changed rows; begin the batch again.`,
      { cause, details: { part } },
    )
  }

  return {
    async write(batch) {
      const length = batch[0]?.length ?? 0
      for (const chunk of encoder.encode({ firstRow: count + 1, rows: length, columns: batch })) await keep(chunk)
      count += length
    },
    async seal() {
      for (const chunk of encoder.finish()) await keep(chunk)
      const sha256 = hash.digest('hex')
      const written = { name, rows: count, bytes, sha256, etag: sha256 }
      try {
        await copy(written)
      } catch (error) {
        // another worker has written it
        if (sqlState(error) !== uniqueViolation) throw error
        await requireSame(written, error)
      } finally {
        await spool.close()
      }
      return written
    },
    abort: () => spool.close().catch(() => undefined),
  }
}

export function columnsSql(columns: readonly Column<ValueType>[]): string {
  return columns.map(({ name, type }) => `${sqlIdentifier(name)} ${sqlTypeName(columnType(type, name))}`).join(', ')
}

function columnType(type: ValueType, name: string) {
  if (type.kind !== 'list' && type.kind !== 'counts') return type
  throw new LockstepError('INTERNAL', `The column "${name}" of a batch is a list.`)
}
