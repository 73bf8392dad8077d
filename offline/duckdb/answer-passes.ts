import type { DuckDBDataChunk } from '@duckdb/node-api'
import type { ServicePlan, ViewUse } from '../../kernel/service-plan.ts'
import type { Column, Value, ValueType } from '../../kernel/value-type.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { PartitionOptions } from '../partition/fold-partition.ts'
import { foldPartition } from '../partition/fold-partition.ts'
import { controls, partitionLayout, whole } from '../partition/partition-layout.ts'
import type { ResultWriter } from '../result-buckets.ts'
import type { Spine } from '../spine/spine.ts'
import { readColumn, readNumbers } from './duckdb-columns.ts'
import type { DuckDb } from './open-duckdb.ts'
import type { KeyShare, PassSources } from './pass-sql.ts'
import { passSql } from './pass-sql.ts'

/** By mapping of all passes: the uses of the service that it asks. */
export function placesOf(service: ServicePlan): number[][] {
  return partitionLayout(service, []).passes.flatMap(({ pass }) => pass.mappings.map(({ asked }) => asked.map(({ use }) => use)))
}

/** As `placesOf`, with the plans of the uses. */
export function plansOf(service: ServicePlan): ViewPlan[][] {
  return placesOf(service).map((uses) => uses.map((use) => (service.uses[use] as ViewUse).plan))
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
    const { sql, columns, parts } = passSql(layout, spine, sources, fold.rule, share)
    const key = new Array<Value | null>(parts).fill(null)
    const readers = columns.map(([at = 0], c): ((chunk: DuckDBDataChunk) => ArrayLike<Value | null>) => {
      const { name, type: declared } = layout.input[at] as Column<ValueType>
      const type = at < parts + controls.length ? whole : declared
      const numbers = new Float64Array(maxChunkRows)
      return (chunk) => (readNumbers(chunk, parts + c, type, numbers) ? numbers : readColumn(chunk, parts + c, type, name))
    })
    const numberAt = parts + controls.indexOf('n')
    for await (const chunk of db.stream(sql)) {
      signal?.throwIfAborted()
      const rows = new Array<ArrayLike<Value | null> | null>(layout.input.length).fill(null)
      for (const [c, places] of columns.entries()) {
        const values = readers[c]?.(chunk) ?? null
        for (const at of places) rows[at] = values
      }
      for (const [i, values] of readKeys(chunk, rows[parts + 1] as ArrayLike<number>, key).entries()) rows[i] = values
      rows[numberAt] ??= new Uint8Array(chunk.rowCount)
      take(rows, chunk.rowCount)
      if (full) await results.flush()
      full = false
      onAnswers(done)
    }
    place += layout.pass.mappings.length
  }
  await results.flush()
}

/**
 * The keys of rows, by part. A row with the tag -1 begins a key.
 *
 * @param key the parts of the last key, which this changes
 */
function readKeys(chunk: DuckDBDataChunk, tags: ArrayLike<number>, key: (Value | null)[]): (Value | null)[][] {
  const vectors = key.map((_, part) => chunk.getColumnVector(part))
  const rows = chunk.rowCount
  const keys = key.map(() => new Array<Value | null>(rows))
  let from = 0
  for (let row = 0; row < rows; row++) {
    if (tags[row] !== -1) continue
    for (const [part, values] of keys.entries()) {
      values.fill(key[part] as Value | null, from, row)
      key[part] = vectors[part]?.getItem(row) as Value
    }
    from = row
  }
  for (const [part, values] of keys.entries()) values.fill(key[part] as Value | null, from)
  return keys
}
