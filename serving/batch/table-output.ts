import { createHash } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { LockstepError } from '../../kernel/errors.ts'
import type { Column, ValueType } from '../../kernel/value-type.ts'
import { typeName } from '../../kernel/value-type.ts'
import { createCopyEncoder } from '../../offline/copy-encoder.ts'
import type { DatasetOutput } from '../../offline/files/dataset-writer.ts'
import { openSpool } from '../../offline/spool.ts'
import { sqlTypeName } from '../../offline/sql-type.ts'
import { parseTable } from '../../registry/define/batch-output-fields.ts'
import type { Database } from '../../runtime/database.ts'
import { sqlState } from '../../runtime/relation.ts'
import { sqlIdentifier, sqlText } from '../../runtime/sql.ts'
import type { BatchOutput, WrittenBatchPart } from './batch-output.ts'
import type { BatchSpec } from './batch-spec.ts'
import { batchName, ordinalName, partName } from './batch-spec.ts'
import { checkTarget, targetFacts } from './check-target.ts'
import { dropUnderReaders } from '../../offline/spine/slice-spine.ts'

const uniqueViolation = '23505'
const lockNotAvailable = '55P03'
/** How long a change of the table may keep its readers waiting, and how long it waits until it tries again. */
const [maxLockMs, betweenLocksMs] = [2_000, 3_000]

/**
 * A batch that ends as rows of a table. Its parts go into a table of their own, which readers do not see. The last
 * transaction makes that a partition of the table, or merges it into the table by a key.
 *
 *     begin: lockstep.batch_rows_7, lockstep.batch_parts_7 -> each part: COPY and its line of batch_parts_7, in one
 *     transaction -> complete: attach or merge, in one transaction
 *
 * So a part counts once whatever happens to its workers, and readers see all rows of a batch or none.
 */
export function createTableOutput(
  db: Database,
  job: number,
  { id, request, key }: Pick<BatchSpec, 'id' | 'request' | 'key'>,
  signal?: AbortSignal,
): BatchOutput {
  const { mode, overwrite } = request
  const { schema, table } = parseTable(request.out)
  const target = `${sqlIdentifier(schema)}.${sqlIdentifier(table)}`
  const [rowsName, partsName] = [`batch_rows_${job}`, `batch_parts_${job}`]
  const [rows, parts] = [`"lockstep"."${rowsName}"`, `"lockstep"."${partsName}"`]
  const names = (columns: readonly { readonly name: string }[]): string => columns.map(({ name }) => sqlIdentifier(name)).join(', ')

  async function writtenPart(part: number): Promise<WrittenBatchPart | null> {
    const [found] = await db.query<{ written: WrittenBatchPart }>(`SELECT written FROM ${parts} WHERE part = $1 AND written IS NOT NULL`, [
      part,
    ])
    return found?.written ?? null
  }

  /** The number of the line that says that the batch is complete: no part has it. */
  const completeLine = -1

  async function isComplete(): Promise<boolean> {
    const [found] = await db.query<{ there: boolean }>(`SELECT to_regclass('${parts}') IS NOT NULL AS there`)
    // dropped after the batch was complete
    if (found?.there !== true) return true
    const [line] = await db.query(`SELECT 1 FROM ${parts} WHERE part = ${completeLine}`)
    return line !== undefined
  }

  return {
    async begin(columns, time) {
      if (mode === 'upsert') requireKey(columns, time)
      await checkTarget(db, { schema, table, id, mode, key, columns, overwrite })
      // left by an attempt that was killed
      await dropUnderReaders(db, rows)
      await dropUnderReaders(db, parts)
      await db.script(`
        CREATE TABLE ${rows} (${columnsSql(columns)}, ${sqlIdentifier(batchName)} text NOT NULL DEFAULT ${sqlText(id)} CHECK (${sqlIdentifier(batchName)} = ${sqlText(id)}));
        CREATE TABLE ${parts} (part int4 PRIMARY KEY, written jsonb);`)
    },
    part: openPart,
    async complete({ rows: expected, columns, time }) {
      if (!(await isComplete())) {
        const [found] = await db.query<{ rows: string }>(`SELECT count(*)::text AS rows FROM ${rows}`)
        if (Number(found?.rows) !== expected)
          throw new LockstepError(
            'FILE_CHANGED',
            `The batch "${id}" is not complete: of its ${expected} rows, another program has left ${found?.rows} in ${rows}. Begin it again.`,
          )
        await commit(
          columns.map(({ name }) => name),
          time,
        )
      }
      await db.query(`DROP TABLE IF EXISTS ${parts}`)
    },
    // a worker that comes too late finds no table, or its part is dropped with it
    remove: () => Promise.resolve(),
    async clean() {
      if (await isComplete()) return
      await dropUnderReaders(db, rows)
      await dropUnderReaders(db, parts)
    },
  }

  async function openPart(part: number, columns: readonly Column<ValueType>[]): Promise<DatasetOutput<WrittenBatchPart>> {
    const name = partName(part, request.format)
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
    const keep = async (chunk: Uint8Array): Promise<void> => {
      hash.update(chunk)
      bytes += chunk.length
      await spool.write(chunk)
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
          await db.copyIn(`COPY ${rows} (${names(columns)}) FROM STDIN (FORMAT binary)`, spool.read(), {
            before: [`INSERT INTO ${parts} (part) VALUES (${part})`],
            after: () => `UPDATE ${parts} SET written = ${sqlText(JSON.stringify(written))} WHERE part = ${part}`,
            onRows: () => undefined,
          })
        } catch (error) {
          if (sqlState(error) !== uniqueViolation) throw error
          const there = await writtenPart(part)
          if (there?.sha256 !== sha256)
            throw new LockstepError(
              'NOT_REPRODUCIBLE',
              `Part ${part} of the batch "${id}" was written with other rows before. A source has changed rows; begin the batch again.`,
              { cause: error, details: { part } },
            )
        } finally {
          await spool.close()
        }
        return written
      },
      abort: () => spool.close().catch(() => undefined),
    }
  }

  function requireKey(columns: readonly { readonly name: string }[], time: string): void {
    if (key.length === 0)
      throw new LockstepError(
        'INVALID_REQUEST',
        `The service of the batch "${id}" has no entity key, so its rows have none. Name columns of the spine as the key.`,
      )
    const missing = [...key, time].find((name) => !columns.some((column) => column.name === name))
    if (missing === undefined) return
    throw new LockstepError(
      'SPINE_INVALID',
      `The rows of the batch "${id}" have no column "${missing}", and the mode "upsert" needs the key and the time. Copy it too.`,
      { details: { column: missing } },
    )
  }

  /** Runs the last transaction. While a reader keeps the table, it tries again. */
  async function commit(columns: readonly string[], time: string): Promise<void> {
    for (;;) {
      signal?.throwIfAborted()
      try {
        return await db.script(await commitSql(columns, time))
      } catch (error) {
        if (sqlState(error) !== lockNotAvailable) {
          // another worker may have completed the batch
          if (await isComplete().catch(() => false)) return
          throw error
        }
      }
      await setTimeout(betweenLocksMs, undefined, signal === undefined ? {} : { signal })
    }
  }

  /** The statements of the last transaction. */
  async function commitSql(columns: readonly string[], time: string): Promise<string> {
    const line = `INSERT INTO ${parts} (part) VALUES (${completeLine})`
    const all = [...columns, batchName]
    const facts = await targetFacts(db, { schema, table })
    const limit = `SELECT set_config('lock_timeout', '${maxLockMs}', true)`
    if (mode === 'upsert') {
      const keys = names(key.map((name) => ({ name })))
      const others = all.filter((name) => !key.includes(name)).map(sqlIdentifier)
      const newest = `ORDER BY ${keys}, ${sqlIdentifier(time)} DESC, ${sqlIdentifier(ordinalName)} DESC`
      const list = names(all.map((name) => ({ name })))
      return [
        limit,
        ...(facts.exists ? [] : [`CREATE TABLE ${target} (LIKE ${rows})`, `CREATE UNIQUE INDEX ON ${target} (${keys}) NULLS NOT DISTINCT`]),
        `INSERT INTO ${target} AS t (${list}) SELECT DISTINCT ON (${keys}) ${list} FROM ${rows} ${newest}
          ON CONFLICT (${keys}) DO UPDATE SET ${others.map((name) => `${name} = excluded.${name}`).join(', ')}
          WHERE t.${sqlIdentifier(time)} IS NULL OR excluded.${sqlIdentifier(time)} >= t.${sqlIdentifier(time)}`,
        `DROP TABLE ${rows}`,
        line,
      ].join(';\n')
    }
    const own = `${table.slice(0, 40)}_batch_${job}`
    const replaced = facts.partitions.filter((each) => mode === 'replace' || each.batch === id)
    return [
      limit,
      ...(facts.exists ? [] : [`CREATE TABLE ${target} (LIKE ${rows}) PARTITION BY LIST (${sqlIdentifier(batchName)})`]),
      ...replaced.map((each) => `DROP TABLE ${each.name}`),
      `ALTER TABLE ${rows} SET SCHEMA ${sqlIdentifier(schema)}`,
      `ALTER TABLE ${sqlIdentifier(schema)}."${rowsName}" RENAME TO ${sqlIdentifier(own)}`,
      `ALTER TABLE ${target} ATTACH PARTITION ${sqlIdentifier(schema)}.${sqlIdentifier(own)} FOR VALUES IN (${sqlText(id)})`,
      line,
    ].join(';\n')
  }
}

function columnsSql(columns: readonly Column<ValueType>[]): string {
  return columns.map(({ name, type }) => `${sqlIdentifier(name)} ${sqlTypeName(columnType(type, name))}`).join(', ')
}

function columnType(type: ValueType, name: string) {
  if (type.kind !== 'list' && type.kind !== 'counts') return type
  throw new LockstepError('INTERNAL', `The column "${name}" of a batch is a list.`)
}
