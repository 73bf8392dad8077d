import type { ServicePlan } from '../../kernel/service-plan.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { refuseUnfrozen } from '../../offline/distributed-export/plan-export.ts'
import { filesRead } from '../../offline/source-files/stored-files.ts'
import { openSpine } from '../../offline/spine/open-spine.ts'
import { dropUnderReaders, indexSpine } from '../../offline/spine/slice-spine.ts'
import type { Spine, SpineColumn } from '../../offline/spine/spine.ts'
import { ordinalColumn } from '../../offline/spine/spine.ts'
import { planPasses } from '../../offline/rows/stream-groups.ts'
import type { Database } from '../../runtime/postgres/database.ts'
import { sqlIdentifier } from '../../runtime/postgres/sql.ts'
import { fileChanged, isStoredObject } from '../../runtime/storage/object-store.ts'
import { currentEtag } from './current-etag.ts'
import type { BatchChunk, BatchPlan, BatchSpec } from './batch-spec.ts'
import { batchName, batchTable, ordinalName, statusName } from './batch-spec.ts'
import type { BatchOutput } from './batch-output.ts'
import { cutParts, largeEntities } from './cut-parts.ts'
import type { BatchModel } from './write-batch-part.ts'
import { batchColumns } from './write-batch-part.ts'

/**
 * Loads the spine of a batch into a table of its job, ordered by key, so that each part reads the rows of its own
 * entities alone, and cuts it into parts.
 *
 * @throws LockstepError `FILE_CHANGED`, `FILE_EXISTS`, `NOT_REPRODUCIBLE`, `SPINE_INVALID`, `TOO_FEW_ROWS`, and what
 *   `openSpine` throws
 */
export async function planBatch(
  db: Database,
  { service, outputs }: Pick<BatchModel, 'service' | 'outputs'>,
  { id: job, spec }: { readonly id: number; readonly spec: BatchSpec },
  output: BatchOutput,
  signal: AbortSignal,
): Promise<{ readonly plan: BatchPlan; readonly chunks: readonly BatchChunk[] }> {
  const { request, arrivedBefore, etag } = spec
  const { spine: input, time, columns: carried, knownBefore, rowsPerPart } = request
  await requireUnchanged(input, etag)
  const seen = { rule: { knowledge: 'bitemporal', freshness: 'served' } as const, knownBefore, arrivedBefore }
  const sourceFiles = await filesRead(db, service, arrivedBefore)
  const spine = await openSpine(db, service, input, { time, carried, seen, signal })
  try {
    requireRows(spec, spine.rows)
    refuseClash(
      spine.columns.map(({ name }) => name),
      request,
      outputs,
    )
    if (spine.rows > rowsPerPart) await refuseUnfrozen(db, service, `let one part have all ${spine.rows} rows (--rows-per-part)`)
    const numbered = [...spine.columns, { name: ordinalName, type: { kind: 'int64' }, sql: `s.${sqlIdentifier(ordinalName)}` }] as const
    await output.begin(batchColumns({ columns: numbered }, request, outputs).columns, spine.time)
    const { columns, key } = await storeByKey(db, service, spine, job, signal)
    const large = await largeEntities(
      db,
      { table: batchTable(job), key, ordinal: `s.${sqlIdentifier(ordinalColumn)}`, rowsPerPart },
      signal,
    )
    const ranges = cutParts(spine.rows, rowsPerPart, large)
    const { drop: _, table: __, ...stored } = spine
    return {
      plan: { spine: { ...stored, columns }, parts: ranges.length, sourceFiles },
      chunks: ranges.map((range, part) => ({ part, range })),
    }
  } finally {
    await spine.drop().catch(() => undefined)
  }
}

/**
 * Copies the spine into the table of the job, numbered by key and time. Its own numbers become a column.
 *
 * @returns also the SQL of the parts of that key
 */
async function storeByKey(
  db: Database,
  service: ServicePlan,
  spine: Spine,
  job: number,
  signal: AbortSignal,
): Promise<{ readonly columns: readonly SpineColumn[]; readonly key: readonly string[] }> {
  const table = batchTable(job)
  const [pass] = planPasses(service.uses)
  const key = (pass?.mappings[0]?.columns ?? []).map((name) => {
    const column = spine.columns.find((each) => each.name === name) as SpineColumn
    return column.type.kind === 'string' ? `${column.sql} COLLATE "C"` : column.sql
  })
  const [hidden, ordinal] = [`s.${sqlIdentifier(ordinalColumn)}`, sqlIdentifier(ordinalName)]
  const time = spine.columns.find(({ name }) => name === spine.time) as SpineColumn
  const number = `(row_number() OVER (ORDER BY ${[...key, time.sql, hidden].join(', ')}))::int8`
  const columns = [
    `${number} AS ${sqlIdentifier(ordinalColumn)}`,
    `${hidden} AS ${ordinal}`,
    ...spine.columns.map(({ name }) => `s.${sqlIdentifier(name)}`),
  ]
  // left by an attempt that was killed
  await dropUnderReaders(db, table)
  await db.query(`CREATE UNLOGGED TABLE ${table} AS SELECT ${columns.join(', ')} FROM ${spine.table} s`, [], { signal })
  await indexSpine(db, { ...spine, table }, signal)
  return { columns: [...spine.columns, { name: ordinalName, type: { kind: 'int64' }, sql: `s.${ordinal}` }], key }
}

async function requireUnchanged(input: BatchSpec['request']['spine'], etag: string | null): Promise<void> {
  if (!('file' in input) || etag === null) return
  if ((await currentEtag(input.file)) === etag) return
  if (isStoredObject(input.file)) throw fileChanged(input.file)
  throw new LockstepError(
    'FILE_CHANGED',
    `The spine "${input.file}" has changed since the batch was begun, or this worker does not reach it under this path. Begin the batch again, or let all workers reach the file.`,
    { details: { path: input.file } },
  )
}

/**
 * Refuses columns of a spine that have the name of another column of the batch. Only the columns that the batch keeps
 * can clash, and the order of the rows, which all batches keep.
 *
 * @throws LockstepError `SPINE_INVALID`
 */
export function refuseClash(
  spine: readonly string[],
  { columns, format }: Pick<BatchSpec['request'], 'columns' | 'format'>,
  outputs: readonly { readonly name: string }[],
): void {
  const own = format === 'table' ? [statusName, batchName] : [statusName]
  const isOutput = (name: string) => outputs.some((output) => output.name === name)
  const isKept = (name: string) => columns === null || columns.includes(name)
  const clash = spine.find((name) => name === ordinalName || (isKept(name) && (own.includes(name) || isOutput(name))))
  if (clash === undefined) return
  const owner = isOutput(clash) ? 'an output of the model' : 'a column that every batch has'
  const advice = clash === ordinalName ? 'Rename the column' : 'Rename the column, or leave it out: name the columns to keep (--columns)'
  throw new LockstepError('SPINE_INVALID', `The spine has a column "${clash}", which is the name of ${owner}. ${advice}.`, {
    details: { column: clash },
  })
}

/** @throws LockstepError `TOO_FEW_ROWS` */
export function requireRows({ id, request: { minRows } }: BatchSpec, rows: number): void {
  if (minRows === null || rows >= minRows) return
  throw new LockstepError(
    'TOO_FEW_ROWS',
    `The batch "${id}" needs a spine of at least ${minRows} rows, and its spine has ${rows}. The output was not changed. Load the missing rows, then run the batch again.`,
    { details: { rows, minRows } },
  )
}
