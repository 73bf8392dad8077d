import type { DuckDBDataChunk, DuckDBVector } from '@duckdb/node-api'
import { LockstepError } from '../../kernel/errors.ts'
import type { ServicePlan, ViewUse } from '../../kernel/service-plan.ts'
import type { Column, Value, ValueType } from '../../kernel/values/value-type.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { PartitionOptions } from '../partition/fold-partition.ts'
import { foldPartition } from '../partition/fold-partition.ts'
import { controls, partitionLayout, safeInteger } from '../partition/partition-layout.ts'
import type { ResultWriter } from '../result-buckets.ts'
import type { Spine } from '../spine/spine.ts'
import { readColumn, readNumbers } from './duckdb-columns.ts'
import type { DuckDb } from './open-duckdb.ts'
import type { KeyShare, PassSources } from './pass-sql.ts'
import { passSql } from './pass-sql.ts'

/** By mapping of all passes: the uses of the service that it asks. */
export function usesByMapping(service: ServicePlan): number[][] {
  return partitionLayout(service, []).passes.flatMap(({ pass }) => pass.mappings.map(({ asked }) => asked.map(({ use }) => use)))
}

/** As `usesByMapping`, with the plans of the uses. */
export function plansByMapping(service: ServicePlan): ViewPlan[][] {
  return usesByMapping(service).map((uses) => uses.map((use) => (service.uses[use] as ViewUse).plan))
}

export interface AnswerOptions extends PartitionOptions {
  /** The keys to answer; null: all. */
  readonly share: KeyShare | null
  readonly signal: AbortSignal | undefined
  /** Called with the answers so far. */
  readonly onAnswers: (done: number) => void
}

/** DuckDB's, which cannot be set. */
const maxChunkRows = 2_048

/** Answers the questions of a spine: DuckDB sorts the rows of each pass, and the states of the join fold them. */
export async function answerPasses(
  db: DuckDb,
  service: ServicePlan,
  spine: Pick<Spine, 'table' | 'columns' | 'time'>,
  sources: PassSources,
  results: ResultWriter,
  { share, signal, onAnswers, ...fold }: AnswerOptions,
): Promise<void> {
  let [place, done, full] = [0, 0, false]
  for (const layout of partitionLayout(service, []).passes) {
    const first = place
    const take = foldPartition(layout, fold, (ordinal, mapping, values) => {
      if (results.put(ordinal, first + mapping, values)) full = true
      done++
    })
    const sql = passSql(layout, spine, sources, fold.rule, share)
    await db.rows(sql.prepare)
    const parts = layout.pass.key.length
    const keys = sql.keys === null ? null : db.streamBeside(sql.keys)
    const readKeys = keyReader(keys, parts)
    const readers = sql.columns.map(([at = 0], c): ((chunk: DuckDBDataChunk) => ArrayLike<Value | null>) => {
      const { name, type: declared } = layout.input[at] as Column<ValueType>
      const type = at < parts + controls.length ? safeInteger : declared
      const numbers = new Float64Array(maxChunkRows)
      return (chunk) => (readNumbers(chunk, c, type, numbers) ? numbers : readColumn(chunk, c, type, name))
    })
    const numberAt = parts + controls.indexOf('n')
    try {
      for await (const chunk of db.stream(sql.rows)) {
        signal?.throwIfAborted()
        const rows = new Array<ArrayLike<Value | null> | null>(layout.input.length).fill(null)
        for (const [c, places] of sql.columns.entries()) {
          const values = readers[c]?.(chunk) ?? null
          for (const at of places) rows[at] = values
        }
        for (const [i, values] of (await readKeys(rows[parts + 1] as ArrayLike<number>, chunk.rowCount)).entries()) rows[i] = values
        rows[numberAt] ??= new Uint8Array(chunk.rowCount)
        take(rows, chunk.rowCount)
        if (full) await results.flush()
        full = false
        onAnswers(done)
      }
    } finally {
      await keys?.return(undefined)
    }
    place += layout.pass.mappings.length
  }
  await results.flush()
}

/**
 * Reads the keys of rows, by part. A row with the tag -1 begins the next key.
 *
 * @param chunks the keys in their order; null: they have no parts
 */
function keyReader(chunks: AsyncGenerator<DuckDBDataChunk> | null, parts: number) {
  const key = new Array<Value | null>(parts).fill(null)
  let vectors: DuckDBVector[] = []
  let [at, end] = [0, 0]

  async function readChunk(): Promise<void> {
    const next = await chunks?.next()
    if (next === undefined || next.done === true) throw new LockstepError('INTERNAL', 'DuckDB returned too few keys. Report this as a bug.')
    vectors = key.map((_, part) => next.value.getColumnVector(part))
    ;[at, end] = [0, next.value.rowCount]
  }

  return async (tags: ArrayLike<number>, rows: number): Promise<(Value | null)[][]> => {
    const keys = key.map(() => new Array<Value | null>(rows))
    if (parts === 0) return keys
    let from = 0
    for (let row = 0; row < rows; row++) {
      if (tags[row] !== -1) continue
      if (at === end) await readChunk()
      for (const [part, values] of keys.entries()) {
        values.fill(key[part] as Value | null, from, row)
        key[part] = vectors[part]?.getItem(at) as Value
      }
      from = row
      at++
    }
    for (const [part, values] of keys.entries()) values.fill(key[part] as Value | null, from)
    return keys
  }
}
