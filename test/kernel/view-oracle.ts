import fc from 'fast-check'
import { defaultHop } from '../../kernel/hop.ts'
import { aggregateResultType } from '../../kernel/result-type.ts'
import type { Value } from '../../kernel/value-type.ts'
import type { AggregateName, Availability, FeatureSpec, ViewSpec } from '../../kernel/view-spec.ts'

/** A source row as a table holds it. */
export interface RawRow {
  readonly eventTime: number
  readonly knownTime: number | null
  readonly tie: number
  readonly values: readonly (Value | null)[]
}

export const minute = 60_000_000
export const hour = 60 * minute

export const columns = [
  { name: 'i', type: { kind: 'int32' } },
  { name: 'big', type: { kind: 'int64' } },
  { name: 'f', type: { kind: 'float64' } },
  { name: 's', type: { kind: 'string' } },
] as const

/** One schedule that the oracle can work out by arithmetic: every `n` minutes. */
export function everyMinutes(n: number, delayMicros: number): Availability {
  return { kind: 'schedule', schedule: `*/${n} * * * *`, delayMicros }
}

export function viewSpec(name: string, features: readonly FeatureSpec[], availability: Availability): ViewSpec {
  return {
    name,
    version: 1,
    entity: { name: 'thing', key: [{ name: 'thing', type: { kind: 'string' } }] },
    source: {
      name: `${name}_source`,
      relation: { kind: 'table', table: 'things' },
      key: [{ part: 'thing', column: 'thing' }],
      eventTime: 'at',
      known: 'known',
      columns,
    },
    availability,
    derive: [],
    code: null,
    features,
  }
}

/** Generated features: latest values with and without ttl, and windows of every aggregate over a few lengths. */
export const featuresArbitrary: fc.Arbitrary<FeatureSpec[]> = fc
  .array(
    fc.oneof(
      fc.record({
        kind: fc.constant('latest' as const),
        column: fc.constantFrom(...columns),
        ttl: fc.constantFrom(null, 10 * minute, 3 * hour),
      }),
      fc.record({
        kind: fc.constant('window' as const),
        aggregate: fc.constantFrom<AggregateName>('count', 'sum', 'mean', 'min', 'max', 'last'),
        column: fc.option(fc.constantFrom(...columns), { nil: null }),
        window: fc.constantFrom(10 * minute, 25 * minute, hour, 3 * hour, 13 * hour),
        fill: fc.boolean(),
      }),
    ),
    { minLength: 1, maxLength: 6 },
  )
  .map((list) =>
    list.flatMap((f, i): FeatureSpec[] => {
      if (f.kind === 'latest') {
        return [
          { kind: 'latest', name: `f${i}`, type: f.column.type, column: f.column.name, ttlMicros: f.ttl, default: null, required: false },
        ]
      }
      const type = aggregateResultType(f.aggregate, f.column?.type ?? null)
      if (type === null) return []
      const fill = f.fill && type.kind === 'float64' ? -1 : null
      const hopMicros = defaultHop(f.window)
      return [
        {
          kind: 'window',
          name: `f${i}`,
          type,
          aggregate: f.aggregate,
          column: f.column?.name ?? null,
          windowMicros: f.window,
          hopMicros,
          default: fill,
          required: false,
        },
      ]
    }),
  )
  .filter((list) => list.length > 0)

/** Rows over half a day with ties, late knowledge, NULLs and awkward values. Times are whole minutes mostly, so that edges are hit. */
export function rowsArbitrary(origin: number, maxLength: number): fc.Arbitrary<RawRow[]> {
  const time = fc.oneof(
    fc.integer({ min: 0, max: 720 }).map((m) => origin + m * minute),
    fc.integer({ min: 0, max: 12 * hour }).map((us) => origin + us),
    fc.integer({ min: 0, max: 3 }).map((h) => origin + h * 3 * hour), // ties of event time
  )
  const values = fc.tuple(
    fc.option(fc.integer({ min: -5, max: 5 })),
    fc.option(fc.oneof(fc.bigInt(-3n, 3n), fc.constantFrom(2n ** 62n, -(2n ** 63n), 2n ** 53n + 1n))),
    fc.option(
      fc.oneof(fc.integer({ min: -9, max: 9 }), fc.constantFrom(0.1, 0.2, 1e16, -1e16, 1e-300, Number.NaN, Number.POSITIVE_INFINITY, 0)),
    ),
    fc.option(fc.constantFrom('', 'a', 'é', 'ab')),
  )
  return fc
    .array(
      fc.record({
        eventTime: time,
        lag: fc.option(
          fc.oneof(
            fc.constant(0),
            fc.integer({ min: -3, max: 3 }).map((h) => h * hour),
            fc.integer({ min: -hour, max: 5 * hour }),
          ),
        ),
        values,
      }),
      { maxLength },
    )
    .map((rows) =>
      rows.map(({ eventTime, lag, values: v }, i) => ({
        eventTime,
        knownTime: lag === null ? null : eventTime + lag,
        tie: i + 1,
        values: v,
      })),
    )
}

/** What the rule of time says, by brute force: a fold over all rows for each question. */
export function oracle(
  spec: ViewSpec,
  rows: readonly RawRow[],
  t: number,
): { values: (Value | null)[]; statuses: string[]; eventTime: number | null } {
  const visible = rows.filter((row) => visibleAt(spec.availability, row) <= t).sort(byTotalOrder)
  const greatest = visible.at(-1)
  const latest = spec.features.some((f) => f.kind === 'latest')
  const horizon = latest
    ? Number.NEGATIVE_INFINITY
    : Math.min(...spec.features.map((f) => (f.kind === 'window' ? tail(t, f.windowMicros, f.hopMicros) : t)))
  const found = greatest !== undefined && greatest.eventTime >= horizon
  const values: (Value | null)[] = []
  const statuses: string[] = []
  for (const feature of spec.features) {
    let value: Value | null | undefined
    let expired = false
    if (feature.kind === 'latest') {
      expired = greatest !== undefined && feature.ttlMicros !== null && t - greatest.eventTime > feature.ttlMicros
      value = greatest === undefined || expired ? null : at(greatest, feature.column)
    } else {
      const inside = visible.filter((row) => row.eventTime >= tail(t, feature.windowMicros, feature.hopMicros))
      value = aggregate(feature.aggregate, inside, feature.column)
    }
    statuses.push(
      !found ? 'NOT_FOUND' : expired ? 'OUTSIDE_MAX_AGE' : value === undefined ? 'INVALID' : value === null ? 'NULL_VALUE' : 'PRESENT',
    )
    values.push(value ?? (feature.default as Value | null))
  }
  return { values, statuses, eventTime: found ? greatest.eventTime : null }
}

export function visibleAt(availability: Availability, row: RawRow): number {
  const visible = Math.max(row.eventTime, row.knownTime ?? row.eventTime)
  if (availability.kind === 'continuous') return visible
  const step = Number(availability.schedule.slice(2, availability.schedule.indexOf(' '))) * minute
  return Math.ceil(visible / step) * step + availability.delayMicros
}

function tail(t: number, window: number, hop: number): number {
  return Math.floor((t - window) / hop) * hop
}

function byTotalOrder(a: RawRow, b: RawRow): number {
  return a.eventTime - b.eventTime || (a.knownTime ?? a.eventTime) - (b.knownTime ?? b.eventTime) || a.tie - b.tie
}

function at(row: RawRow, column: string): Value | null {
  return row.values[columns.findIndex((c) => c.name === column)] ?? null
}

function aggregate(name: AggregateName, rows: readonly RawRow[], column: string | null): Value | null | undefined {
  if (column === null) return rows.length
  const all = rows.map((row) => at(row, column))
  const some = all.filter((v) => v !== null)
  if (name === 'count') return some.length
  if (name === 'last') return all.at(-1) ?? null
  if (some.length === 0) return null
  if (typeof some[0] === 'bigint') {
    const numbers = some as bigint[]
    const total = numbers.reduce((a, b) => a + b, 0n)
    if (name === 'sum') return total >= -(2n ** 63n) && total < 2n ** 63n ? total : undefined
    if (name === 'mean') return nearest(total, BigInt(some.length))
    return numbers.reduce((a, b) => ((name === 'min' ? b < a : b > a) ? b : a))
  }
  const numbers = some as number[]
  if (numbers.some(Number.isNaN)) return Number.NaN
  if (name === 'min') return Math.min(...numbers)
  if (name === 'max') return Math.max(...numbers)
  if (numbers.includes(Number.POSITIVE_INFINITY)) return Number.POSITIVE_INFINITY
  // In units of 2^-1074 every double is a whole number.
  const total = numbers.reduce((sum, x) => sum + units(x), 0n)
  return nearest(total, (name === 'mean' ? BigInt(numbers.length) : 1n) << 1074n)
}

/** A finite double in units of 2^-1074, by halving and doubling alone. */
function units(x: number): bigint {
  let value = x
  let shift = 1074
  while (!Number.isInteger(value)) {
    value *= 2
    shift -= 1
  }
  return shift >= 0 ? BigInt(value) << BigInt(shift) : BigInt(value) >> BigInt(-shift)
}

/** The double nearest to n / d by bisection on the doubles' own bits. */
function nearest(n: bigint, d: bigint): number {
  if (n < 0n) return -nearest(-n, d) + 0
  const view = new DataView(new ArrayBuffer(8))
  const double = (bits: bigint): number => {
    view.setBigUint64(0, bits)
    return view.getFloat64(0)
  }
  // The greatest double at or below n / d.
  let low = 0n
  let high = 0x7fefffffffffffffn
  while (low < high) {
    const middle = (low + high + 1n) / 2n
    if (units(double(middle)) * d <= n << 1074n) low = middle
    else high = middle - 1n
  }
  const below = n * 2n ** 1075n - 2n * units(double(low)) * d
  const above = 2n * units(double(low + 1n)) * d - n * 2n ** 1075n
  return double(below < above || (below === above && low % 2n === 0n) ? low : low + 1n)
}
