import { setTimeout } from 'node:timers/promises'
import { LockstepError } from '../../kernel/errors.ts'
import { dropUnderReaders } from '../../offline/spine/slice-spine.ts'
import { parseTable } from '../../registry/define/batch-output-fields.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sqlState } from '../../runtime/postgres/relation.ts'
import { sqlIdentifier, sqlText } from '../../runtime/postgres/sql.ts'
import type { BatchOutput } from './batch-output.ts'
import type { BatchSpec } from './batch-spec.ts'
import { batchName } from './batch-spec.ts'
import { checkTarget, targetFacts } from './check-target.ts'
import type { PublishedRows } from './publish-sql.ts'
import { publishSql } from './publish-sql.ts'
import { columnsSql, openTablePart } from './table-part.ts'

const lockNotAvailable = '55P03'
/** How long a change of the table may keep its readers waiting, and how long it waits until it tries again. */
const [maxLockMs, betweenLocksMs] = [2_000, 3_000]
/** The number of the line that says that the batch is complete: no part has it. */
const completeLine = -1

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
  const { mode, overwrite, format } = request
  const { schema, table } = parseTable(request.out)
  const rowsName = `batch_rows_${job}`
  const [rows, parts] = [`"lockstep"."${rowsName}"`, `"lockstep"."batch_parts_${job}"`]

  async function isComplete(): Promise<boolean> {
    const [found] = await db.query<{ there: boolean }>(`SELECT to_regclass('${parts}') IS NOT NULL AS there`)
    // dropped after the batch was complete
    if (found?.there !== true) return true
    const [line] = await db.query(`SELECT 1 FROM ${parts} WHERE part = ${completeLine}`)
    return line !== undefined
  }

  async function dropTables(): Promise<void> {
    await dropUnderReaders(db, rows)
    await dropUnderReaders(db, parts)
  }

  async function requireRows(expected: number): Promise<void> {
    const [found] = await db.query<{ rows: string }>(`SELECT count(*)::text AS rows FROM ${rows}`)
    if (Number(found?.rows) === expected) return
    throw new LockstepError(
      'FILE_CHANGED',
      `The batch "${id}" is not complete: ${rows} has ${found?.rows} of its ${expected} rows, because another program has changed the table. Begin the batch again.`,
    )
  }

  /** Runs the last transaction. While a reader keeps the table, it tries again. */
  async function publish(published: PublishedRows): Promise<void> {
    for (;;) {
      signal?.throwIfAborted()
      try {
        const statements = [
          `SELECT set_config('lock_timeout', '${maxLockMs}', true)`,
          ...publishSql(published, await targetFacts(db, { schema, table })),
          `INSERT INTO ${parts} (part) VALUES (${completeLine})`,
        ]
        return await db.script(statements.join(';\n'))
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

  return {
    async begin(columns, time) {
      if (mode === 'upsert') requireKey({ id, key }, columns, time)
      await checkTarget(db, { schema, table, id, mode, key, columns, overwrite })
      // left by an attempt that was killed
      await dropTables()
      await db.script(`
        CREATE TABLE ${rows} (${columnsSql(columns)}, ${sqlIdentifier(batchName)} text NOT NULL DEFAULT ${sqlText(id)} CHECK (${sqlIdentifier(batchName)} = ${sqlText(id)}));
        CREATE TABLE ${parts} (part int4 PRIMARY KEY, written jsonb);`)
    },
    part: (part, columns) => openTablePart(db, { id, part, format, columns, rows, parts }),
    async complete({ rows: expected, columns, time }) {
      if (!(await isComplete())) {
        await requireRows(expected)
        await publish({ id, job, rowsName, schema, table, mode, key, columns: columns.map(({ name }) => name), time })
      }
      await db.query(`DROP TABLE IF EXISTS ${parts}`)
    },
    // a worker that comes too late finds no table, or its part is dropped with it
    remove: () => Promise.resolve(),
    async clean() {
      if (!(await isComplete())) await dropTables()
    },
  }
}

function requireKey({ id, key }: Pick<BatchSpec, 'id' | 'key'>, columns: readonly { readonly name: string }[], time: string): void {
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
