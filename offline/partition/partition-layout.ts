import type { ServicePlan, ViewUse } from '../../kernel/service-plan.ts'
import type { Column, ColumnType, KeyType, ValueType } from '../../kernel/values/value-type.ts'
import type { SourceSpec } from '../../kernel/specs/view-spec.ts'
import { sourceKey, streamColumns, unionColumns } from '../rows/source-stream.ts'
import type { Pass } from '../rows/stream-groups.ts'
import { planPasses } from '../rows/stream-groups.ts'

/**
 * The columns of the rows that an engine passes to the kernel and takes back. Each pass reads the rows of one kind of
 * entity, ordered by the keys, `t` and `tag`:
 *
 *     k0, k1 …     the parts of the key
 *     t            when the row counts: the later of event and known time; of a question its moment
 *     tag          0: a row of a source; 1: a question. So what becomes visible at a moment comes before its question.
 *                  -1: begins a key, and is nothing else (offline/duckdb/pass-sql.ts)
 *     n            the number of the stream (tag 0) or of the mapping (tag 1)
 *     o            of a question: its number
 *     e, known     of a source row: its times
 *     row          of a source row: `_row`, where the source has it
 *     s0_0, s0_1 … the columns of stream 0, and so on
 *
 * A pass answers each question with a row: `o`, `n`, then `a0_0, a0_1 …`, the features of use 0, and so on. The last
 * step joins the answers by `o`, and makes the features of the service: `o`, `t`, `r0, r1 …` (request values), answers
 * → `o`, the features by name, and the outputs of a model with `_status`.
 *
 * Times and other whole numbers are int64, times in epoch microseconds.
 */
export interface PartitionLayout {
  readonly passes: readonly PassLayout[]
  readonly finish: { readonly input: readonly Column<ValueType>[]; readonly output: readonly Column<ValueType>[] }
}

export interface PassLayout {
  readonly pass: Pass
  readonly streams: readonly StreamLayout[]
  readonly input: readonly Column<ValueType>[]
  readonly output: readonly Column<ValueType>[]
}

export interface StreamLayout {
  readonly source: SourceSpec
  /** The source's columns that hold the key. */
  readonly key: readonly Column<KeyType>[]
  /** The columns of its rows. Those from `delivered` on break ties, and are not needed of rows with `row`. */
  readonly columns: readonly Column[]
  readonly delivered: number
  /** The place of the first one in the input of the pass. */
  readonly from: number
}

/** Whole numbers that need not be bigint. */
export const safeInteger: ColumnType = { kind: 'timestamp' }

/** The columns that stand between the key and the columns of streams, in their order. */
export const controls = ['t', 'tag', 'n', 'o', 'e', 'known', 'row'] as const

export function partitionLayout(service: ServicePlan, outputs: readonly Column[]): PartitionLayout {
  const answers = (uses: readonly number[]): Column<ValueType>[] =>
    uses.flatMap((use) => (service.uses[use] as ViewUse).plan.features.map(({ type }, i) => ({ name: `a${use}_${i}`, type })))
  const status: Column[] = outputs.length === 0 ? [] : [...outputs, { name: '_status', type: { kind: 'string' } }]
  return {
    passes: planPasses(service.uses).map((pass) => {
      const keys = pass.key.map(({ type }, i): Column => ({ name: `k${i}`, type }))
      const numbers = controls.map((name): Column => ({ name, type: name === 'tag' || name === 'n' ? { kind: 'int32' } : safeInteger }))
      const input: Column<ValueType>[] = [...keys, ...numbers]
      const streams = pass.streams.map(({ plans }, n): StreamLayout => {
        const [plan] = plans
        if (plan === undefined) throw new TypeError('a stream without views')
        const { source } = plan.spec
        const wanted = streamColumns(plans)
        const columns = unionColumns([wanted, source.columns])
        const from = input.length
        input.push(...columns.map(({ type }, i) => ({ name: `s${n}_${i}`, type })))
        return { source, key: sourceKey(plan), columns, delivered: wanted.length, from }
      })
      const asked = pass.mappings.flatMap((mapping) => mapping.asked.map(({ use }) => use)).toSorted((a, b) => a - b)
      return { pass, streams, input, output: [{ name: 'o', type: safeInteger }, { name: 'n', type: { kind: 'int32' } }, ...answers(asked)] }
    }),
    finish: {
      input: [
        { name: 'o', type: safeInteger },
        { name: 't', type: safeInteger },
        ...service.request.map(({ type }, i): Column => ({ name: `r${i}`, type })),
        ...answers(service.uses.map((_, use) => use)),
      ],
      output: [{ name: 'o', type: safeInteger }, ...service.features.map(({ name, type }) => ({ name, type })), ...status],
    },
  }
}
