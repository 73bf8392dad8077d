import { formatTimestamp } from '../../kernel/values/time.ts'
import type { Column, Value, ValueType } from '../../kernel/values/value-type.ts'
import type { NumberCountsState, NumberStatistics } from './number-statistics.ts'
import { NumberCounts } from './number-statistics.ts'
import type { TopValues, ValueCountsState } from './top-values.ts'
import { ValueCounts } from './top-values.ts'

/** Statistics of a column of a training set, with which later data are compared. */
export interface ColumnStatistics {
  readonly column: string
  /** Values that are not null. */
  readonly count: number
  readonly nulls: number
  /** For int32, int64, float32 and float64. */
  readonly numbers?: NumberStatistics
  /** For bool and string. */
  readonly values?: TopValues
  /** For timestamp: RFC 3339. */
  readonly times?: { readonly min: string | null; readonly max: string | null }
}

export interface StatisticsCollector {
  /** Adds consecutive rows, by index of the columns. */
  update(batch: readonly (readonly (Value | null)[])[]): void
  /** The complete state as plain data, which JSON can hold unchanged. */
  state(): StatisticsState
  /**
   * Adds the rows of another collector of the same columns. Collectors of consecutive parts, merged in order, give the
   * result of one collector.
   */
  merge(state: StatisticsState): void
  result(): ColumnStatistics[]
}

export interface StatisticsState {
  readonly rows: number
  readonly nulls: readonly number[]
  /** By column; null where only nulls are counted. */
  readonly counters: readonly CounterState[]
}

type CounterState = NumberCountsState | ValueCountsState | TimeRange | null
type TimeRange = readonly [min: number, max: number]

export function collectStatistics(columns: readonly Column<ValueType>[]): StatisticsCollector {
  const counters = columns.map(({ type }) => counterOf(type))
  const nulls = columns.map(() => 0)
  let rows = 0
  return {
    update(batch) {
      rows += batch[0]?.length ?? 0
      for (let c = 0; c < counters.length; c++) nulls[c] = (nulls[c] as number) + (counters[c] as Counter).update(batch[c] ?? [])
    },
    state: () => ({ rows, nulls: [...nulls], counters: counters.map((counter) => counter.state()) }),
    merge(state) {
      rows += state.rows
      for (const [c, counter] of counters.entries()) {
        nulls[c] = (nulls[c] as number) + (state.nulls[c] as number)
        counter.merge(state.counters[c] ?? null)
      }
    },
    result: () =>
      columns.map(({ name }, c) => {
        const missing = nulls[c] as number
        return { column: name, count: rows - missing, nulls: missing, ...(counters[c] as Counter).result() }
      }),
  }
}

interface Counter {
  /** @returns how many of the values are null */
  update(values: readonly (Value | null)[]): number
  state(): CounterState
  /** @param state of a counter of the same kind */
  merge(state: CounterState): void
  result(): Pick<ColumnStatistics, 'numbers' | 'values' | 'times'>
}

function counterOf(type: ValueType): Counter {
  switch (type.kind) {
    case 'int32':
    case 'int64':
    case 'float32':
    case 'float64': {
      const numbers = new NumberCounts(type.kind === 'int32' || type.kind === 'int64')
      return {
        update: (values) => numbers.update(values),
        state: () => numbers.state(),
        merge: (state) => numbers.merge(state as NumberCountsState),
        result: () => ({ numbers: numbers.result() }),
      }
    }
    case 'bool':
    case 'string':
      return valueCounter()
    case 'timestamp':
      return timeCounter()
    case 'vector':
    case 'list':
    case 'counts':
      return {
        update: (values) => values.reduce((sum: number, value) => (value === null ? sum + 1 : sum), 0),
        state: () => null,
        merge: () => undefined,
        result: () => ({}),
      }
    default:
      return type satisfies never
  }
}

function valueCounter(): Counter {
  const counts = new ValueCounts()
  return {
    update(values) {
      let nulls = 0
      for (let i = 0; i < values.length; i++) {
        const value = values[i] as string | boolean | null
        if (value === null) nulls++
        else counts.add(value)
      }
      return nulls
    },
    state: () => counts.state(),
    merge: (state) => counts.merge(state as ValueCountsState),
    result: () => ({ values: counts.result() }),
  }
}

function timeCounter(): Counter {
  let min = Number.POSITIVE_INFINITY
  let max = Number.NEGATIVE_INFINITY
  const text = (micros: number): string | null => (Number.isFinite(micros) ? formatTimestamp(micros) : null)
  return {
    update(values) {
      let nulls = 0
      for (let i = 0; i < values.length; i++) {
        const value = values[i] as number | null
        if (value === null) {
          nulls++
          continue
        }
        if (value < min) min = value
        if (value > max) max = value
      }
      return nulls
    },
    state: () => (min > max ? null : [min, max]),
    merge(state) {
      if (state === null) return
      const [from, to] = state as TimeRange
      if (from < min) min = from
      if (to > max) max = to
    },
    result: () => ({ times: { min: text(min), max: text(max) } }),
  }
}
