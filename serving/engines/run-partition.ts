import { openUnserved } from '../../inference/open-unserved.ts'
import { createProcessPool } from '../../inference/process-pool.ts'
import type { ViewValues } from '../../kernel/states/state.ts'
import type { Value } from '../../kernel/values/value-type.ts'
import { LockstepError } from '../../kernel/errors.ts'
import { finishRows } from '../../offline/partition/finish-rows.ts'
import { foldPartition } from '../../offline/partition/fold-partition.ts'
import type { PassLayout } from '../../offline/partition/partition-layout.ts'
import { controls } from '../../offline/partition/partition-layout.ts'
import type { ArrowColumn } from '../../runtime/arrow/arrow-columns.ts'
import { columnsReader } from '../../runtime/arrow/arrow-columns.ts'
import { arrowBatch, arrowEnd, arrowHead } from '../../runtime/arrow/arrow-stream.ts'
import { readArrowStream } from '../../runtime/arrow/read-arrow-stream.ts'
import type { Logger } from '../../runtime/log.ts'
import { predictJoined } from '../batch/write-batch-part.ts'
import type { EnginePlan } from './engine-plan.ts'

/** The rows that a step of a plan writes. Its end mark comes last, once all rows are answered. */
export interface PartitionOutput {
  write(bytes: Uint8Array): Promise<void>
}

const rowsPerBatch = 8_192

/**
 * Reads the rows of one pass of a plan as an Arrow stream, and writes the answers as another one. An error leaves the
 * output without its end mark, so readers refuse it.
 *
 * @returns the number of answers
 * @throws LockstepError `USAGE` where the plan has no such pass, and what the stream and the fold throw
 */
export async function runPass(
  plan: EnginePlan,
  number: number,
  input: AsyncIterable<Uint8Array>,
  output: PartitionOutput,
  signal: AbortSignal,
): Promise<number> {
  const layout = plan.layout.passes[number]
  if (layout === undefined)
    throw new LockstepError('USAGE', `The plan has no pass ${number}: it has ${plan.layout.passes.length}, from 0 on.`)
  const answers = new AnswerRows(layout)
  const take = foldPartition(layout, plan.rule, (ordinal, mapping, values) => answers.add(ordinal, mapping, values))
  const stream = await readArrowStream(input, 'on standard input')
  refuseMissingColumns(layout, stream.columns)
  const decode = columnsReader(stream.columns, layout.input)
  const tagAt = layout.pass.key.length + controls.indexOf('tag')
  let before = 0
  const fields = layout.output.map((column) => ({ ...column, nullable: true }))
  await output.write(arrowHead(fields))
  for await (const batch of stream.batches()) {
    signal.throwIfAborted()
    const columns = decode(batch)
    refuseUnknownTags((columns[tagAt] ?? []) as (number | null)[], before)
    take(columns, batch.rows)
    before += batch.rows
    if (answers.rows >= rowsPerBatch) await output.write(answers.drain(fields))
  }
  if (answers.rows > 0) await output.write(answers.drain(fields))
  await output.write(arrowEnd)
  return answers.total
}

/**
 * Reads joined answers, in any order, and writes the features of the service, and the predictions of the plan's model.
 *
 * @returns the number of rows
 */
export async function runFinish(
  plan: EnginePlan,
  input: AsyncIterable<Uint8Array>,
  output: PartitionOutput,
  { signal, log }: { readonly signal: AbortSignal; readonly log: Logger },
): Promise<number> {
  const { service, layout } = plan
  const { input: wanted, output: written } = layout.finish
  const pool = createProcessPool()
  const { model: planned } = plan
  const model = planned === null ? null : await openUnserved(() => Promise.resolve(planned.bytes), { ...planned, pool, log })
  try {
    const stream = await readArrowStream(input, 'on standard input')
    const decode = columnsReader(stream.columns, wanted)
    const fields = written.map((column) => ({ ...column, nullable: true }))
    await output.write(arrowHead(fields))
    let rows = 0
    for await (const batch of stream.batches()) {
      signal.throwIfAborted()
      if (batch.rows === 0) continue
      const columns = decode(batch)
      for (const [i, { name }] of wanted.entries()) if (columns[i] === null) throw lacksColumn(name)
      const joined = finishRows(service, columns as (Value | null)[][], batch.rows)
      const predicted = model === null ? null : await predictJoined(model.runColumns, joined)
      const all = [columns[0] ?? [], ...joined.values, ...(predicted === null ? [] : [...predicted.predictions, predicted.statuses])]
      await output.write(arrowBatch(fields, all, batch.rows))
      rows += batch.rows
    }
    await output.write(arrowEnd)
    return rows
  } finally {
    await model?.close()
    pool.close()
  }
}

/** Sources without known times or `_row` need no column for them, and a source without rows needs none of its own. */
function refuseMissingColumns({ pass, input }: PassLayout, found: readonly ArrowColumn[]): void {
  const names = new Set(found.map(({ name }) => name))
  const needed = input.slice(0, pass.key.length + controls.indexOf('known'))
  const missing = needed.find(({ name }) => !names.has(name))
  if (missing !== undefined) throw lacksColumn(missing.name)
}

/** The fold skips rows with the tag -1, which only the rows of DuckDB have (offline/duckdb/pass-sql.ts). */
function refuseUnknownTags(tags: readonly (number | null)[], before: number): void {
  const wrong = tags.findIndex((tag) => tag !== 0 && tag !== 1)
  if (wrong < 0) return
  throw new LockstepError(
    'INVALID_ROW',
    `Row ${before + wrong + 1} on standard input has the tag ${tags[wrong] ?? 'NULL'}. Give a row of a source the tag 0, and a question the tag 1.`,
  )
}

function lacksColumn(name: string): LockstepError {
  return new LockstepError(
    'INVALID_ROW',
    `The Arrow stream on standard input lacks the column "${name}". Add it: docs/engines.md lists the columns.`,
  )
}

/** The answers of a pass by column of its output, until they are written. */
class AnswerRows {
  total = 0
  readonly #layout: PassLayout
  /** By mapping and use: the place of the use's first feature among the columns. */
  readonly #places: readonly (readonly number[])[]
  #columns: (Value | null)[][]

  constructor(layout: PassLayout) {
    this.#layout = layout
    this.#columns = layout.output.map(() => [])
    const placeOf = (use: number): number => layout.output.findIndex(({ name }) => name === `a${use}_0`)
    this.#places = layout.pass.mappings.map(({ asked }) => asked.map(({ use }) => placeOf(use)))
  }

  get rows(): number {
    return this.#columns[0]?.length ?? 0
  }

  add(ordinal: number, mapping: number, values: readonly ViewValues[]): void {
    const row = this.rows
    this.#columns[0]?.push(ordinal)
    this.#columns[1]?.push(mapping)
    const places = this.#places[mapping] ?? []
    for (const [i, answer] of values.entries())
      for (let f = 0; f < answer.values.length; f++)
        (this.#columns[(places[i] as number) + f] as (Value | null)[])[row] = answer.values[f] ?? null
    this.total++
  }

  drain(fields: Parameters<typeof arrowBatch>[0]): Uint8Array {
    const rows = this.rows
    // a mapping answers its own uses alone
    const columns = this.#columns.map((column) => Array.from({ length: rows }, (_, i) => column[i] ?? null))
    this.#columns = this.#layout.output.map((): (Value | null)[] => [])
    return arrowBatch(fields, columns, rows)
  }
}
