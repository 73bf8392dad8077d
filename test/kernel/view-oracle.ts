import fc from 'fast-check'
import { defaultHop } from '../../kernel/states/hop.ts'
import { aggregateResultType } from '../../kernel/result-type.ts'
import { parseTimestamp } from '../../kernel/values/time.ts'
import { valueFromJson } from '../../kernel/values/value-json.ts'
import type { Scalar, Value } from '../../kernel/values/value-type.ts'
import type { AggregateName, AggregateSpec, Availability, FeatureSpec, JsonValue, ViewSpec } from '../../kernel/specs/view-spec.ts'
import { many } from './many-oracle.ts'

/** A source row as a table holds it. */
export interface RawRow {
  readonly eventTime: number
  readonly knownTime: number | null
  readonly tie: number
  readonly values: readonly (Value | null)[]
}

export const minute = 60_000_000
export const hour = 60 * minute

const columns = [
  { name: 'i', type: { kind: 'int32' } },
  { name: 'big', type: { kind: 'int64' } },
  { name: 'f', type: { kind: 'float64' } },
  { name: 's', type: { kind: 'string' } },
] as const
/** Which rows a feature with `where` takes; a column of the views that have such a feature. */
export const flag = { name: 'ok', type: { kind: 'bool' } } as const
export const allColumns = [...columns, flag] as const

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
      columns: features.some((f) => f.where !== undefined) ? allColumns : columns,
    },
    availability,
    derive: [],
    code: null,
    features,
  }
}

const aggregates = fc.constantFrom<AggregateName>(
  ...(['count', 'sum', 'mean', 'min', 'max', 'variance', 'stddev', 'quantile', 'distinctCount', 'first', 'last'] as const),
  ...(['firstN', 'lastN', 'lastDistinctN', 'topK', 'histogram'] as const),
)

const defaults: Readonly<Record<string, JsonValue>> = { float64: -1, list: [], counts: { none: 1 } }

/**
 * Generated features: latest values with and without ttl, and every aggregate over a few lengths and over all time; of
 * some rows or of all.
 */
export const featuresArbitrary: fc.Arbitrary<FeatureSpec[]> = fc
  .array(
    fc.oneof(
      fc.record({
        kind: fc.constant('latest' as const),
        column: fc.constantFrom(...columns),
        ttl: fc.constantFrom(null, 10 * minute, 3 * hour),
        some: fc.boolean(),
      }),
      fc.record({
        kind: fc.constantFrom('window' as const, 'window' as const, 'lifetime' as const),
        aggregate: aggregates,
        column: fc.option(fc.constantFrom(...columns), { nil: null }),
        window: fc.constantFrom(10 * minute, 25 * minute, hour, 3 * hour, 13 * hour),
        fill: fc.boolean(),
        some: fc.boolean(),
        sample: fc.boolean(),
        quantile: fc.constantFrom(0.001, 0.25, 0.5, 0.9, 0.999),
        error: fc.constantFrom(0.001, 0.01, 0.1),
        n: fc.constantFrom(1, 2, 5),
        cap: fc.constantFrom(30, 1000),
      }),
    ),
    { minLength: 1, maxLength: 6 },
  )
  .map((list) =>
    list.flatMap((f, i): FeatureSpec[] => {
      const base = { name: `f${i}`, required: false, ...(f.some ? { where: 'ok' } : {}) }
      if (f.kind === 'latest') {
        return [{ ...base, kind: 'latest', type: f.column.type, column: f.column.name, ttlMicros: f.ttl, default: null }]
      }
      const type = aggregateResultType(f.aggregate, f.column?.type ?? null)
      if (type === null) return []
      const aggregate: AggregateSpec = {
        ...base,
        type,
        aggregate: f.aggregate,
        column: f.column?.name ?? null,
        default: f.fill ? (defaults[type.kind] ?? null) : null,
        ...(f.sample && (f.aggregate === 'variance' || f.aggregate === 'stddev') ? { sample: true } : {}),
        ...(f.aggregate === 'quantile' ? { quantile: f.quantile, error: f.error } : {}),
        ...(type.kind === 'list' ? { n: f.n } : {}),
        ...(f.aggregate === 'topK' || f.aggregate === 'histogram' ? { cap: f.cap } : {}),
      }
      if (f.kind === 'lifetime') return [{ ...aggregate, kind: 'lifetime' }]
      return [{ ...aggregate, kind: 'window', windowMicros: f.window, hopMicros: defaultHop(f.window) }]
    }),
  )
  .filter((list) => list.length > 0)

/** Where rows and moments begin: in one of our years, and before 1970, which is midway through them. */
export const origins = [parseTimestamp('2001-03-01T00:00:00Z'), parseTimestamp('1969-12-31T18:00:00Z')] as const

/** Moments of `hours` from an origin: at, just before and just after the edges of hops, and anywhere. */
export function timeArbitrary(origin: number, hours: number): fc.Arbitrary<number> {
  return fc.oneof(
    fc.integer({ min: 0, max: hours * 60 }).map((m) => origin + m * minute),
    fc.integer({ min: 0, max: hours * hour }).map((us) => origin + us),
    fc
      .tuple(fc.integer({ min: 0, max: hours * 12 }), fc.constantFrom(5 * minute, hour), fc.constantFrom(-1, 0, 0, 1))
      .map(([n, hop, by]) => origin + ((n * hop) % (hours * hour)) + by),
  )
}

/** Numbers whose sums, squares and distances leave what doubles can say, beside small ones. */
const ends = [Number.MAX_VALUE, -Number.MAX_VALUE, Number.MIN_VALUE, -Number.MIN_VALUE, Number.NaN, Infinity, -Infinity]
const awkward = [0.1, 0.2, 1e16, -1e16, 0, -0, 1e-300, 1e160, 1e308, -1e308, 1e-310, 2 ** -1022, ...ends]
const long = [2n ** 62n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n]

/** Rows over half a day with ties, late knowledge, NULLs and awkward values. */
export function rowsArbitrary(origin: number, maxLength: number): fc.Arbitrary<RawRow[]> {
  const time = fc.oneof(
    { weight: 2, arbitrary: timeArbitrary(origin, 12) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 3 }).map((h) => origin + h * 3 * hour) }, // ties of event time
  )
  const values = fc.tuple(
    fc.option(fc.oneof(fc.integer({ min: -5, max: 5 }), fc.constantFrom(2 ** 31 - 1, -(2 ** 31)))),
    fc.option(fc.oneof(fc.bigInt(-3n, 3n), fc.constantFrom(...long))),
    fc.option(fc.oneof(fc.integer({ min: -9, max: 9 }), fc.constantFrom(...awkward))),
    fc.option(fc.constantFrom('', 'a', 'é', 'ab', 'a,b', '"', '\uFFFD', '\u{1F600}')),
    fc.option(fc.boolean()),
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

/** The rule of time by brute force: a fold over all rows for each question. */
export function oracle(
  spec: ViewSpec,
  rows: readonly RawRow[],
  t: number,
): { values: (Value | Near | null)[]; statuses: string[]; eventTime: number | null } {
  const visible = rows.filter((row) => visibleAt(spec.availability, row) <= t).sort(byTotalOrder)
  const greatest = visible.at(-1)
  const tails = spec.features.map((f) => (f.kind === 'window' ? tail(t, f.windowMicros, f.hopMicros) : Number.NEGATIVE_INFINITY))
  const found = greatest !== undefined && greatest.eventTime >= Math.min(...tails)
  const values: (Value | Near | null)[] = []
  const statuses: string[] = []
  for (const [i, feature] of spec.features.entries()) {
    const inside = visible.filter(
      (row) => row.eventTime >= (tails[i] as number) && (feature.where === undefined || at(row, feature.where) === true),
    )
    let value: Value | Near | null | undefined
    let expired = false
    if (feature.kind === 'latest') {
      const last = inside.at(-1)
      expired = last !== undefined && feature.ttlMicros !== null && t - last.eventTime > feature.ttlMicros
      value = last === undefined || expired ? null : at(last, feature.column)
    } else {
      value = aggregate(feature, inside)
    }
    statuses.push(
      !found ? 'NOT_FOUND' : expired ? 'OUTSIDE_MAX_AGE' : value === undefined ? 'INVALID' : value === null ? 'NULL_VALUE' : 'PRESENT',
    )
    values.push(value ?? valueFromJson(feature.type, feature.default, 'default'))
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
  const value = row.values[allColumns.findIndex((c) => c.name === column)] ?? null
  return value === 0 ? 0 : value // never -0
}

function aggregate(feature: AggregateSpec, rows: readonly RawRow[]): Value | Near | null | undefined {
  const { aggregate: name, column } = feature
  if (column === null) return rows.length
  const all = rows.map((row) => at(row, column))
  const some = all.filter((v) => v !== null)
  if (name === 'count') return some.length
  if ('n' in feature || name === 'histogram') return many(feature, all as (Scalar | null)[])
  if (name === 'distinctCount') return new Set(some).size
  if (name === 'last') return all.at(-1) ?? null
  if (name === 'first') return all[0] ?? null
  if (some.length === 0) return null
  if (name === 'quantile') return quantile(some.map(Number), feature.quantile as number, feature.error as number)
  if (name === 'variance' || name === 'stddev') return spread(name, feature.sample === true, some as (number | bigint)[])
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
  const infinite = numbers.filter((x) => !Number.isFinite(x))
  if (infinite.length > 0) return infinite.reduce((a, b) => a + b)
  // In units of 2^-1074 every double is a whole number.
  const total = numbers.reduce((sum, x) => sum + units(x), 0n)
  return nearest(total, (name === 'mean' ? BigInt(numbers.length) : 1n) << 1074n)
}

/** By its definition: the mean of the squares of the distances from the mean, as fractions of whole numbers. */
function spread(name: 'variance' | 'stddev', sample: boolean, values: readonly (number | bigint)[]): number | null {
  const n = BigInt(values.length)
  const over = sample ? n - 1n : n
  if (over === 0n) return null
  if (values.some((x) => typeof x === 'number' && !Number.isFinite(x))) return Number.NaN
  const whole = values.map((x) => (typeof x === 'bigint' ? x << 1074n : units(x)))
  const total = whole.reduce((a, b) => a + b)
  const distances = whole.reduce((sum, x) => sum + (n * x - total) ** 2n, 0n)
  return name === 'variance' ? nearest(distances, (over * n * n) << 2148n) : nearestRoot(distances, (over * n * n) << 2148n)
}

/**
 * The double nearest to the square root of n / d: the one whose two neighbours' midpoints lie, squared, on either side
 * of n / d.
 */
function nearestRoot(n: bigint, d: bigint): number {
  if (n === 0n) return 0
  // From here on the nearest double would be 2^1024: half a step beyond the greatest one. Squares are in units of
  // 2^-1075, squared.
  if (n << 2150n >= (units(Number.MAX_VALUE) + units(Number.POSITIVE_INFINITY)) ** 2n * d) return Number.POSITIVE_INFINITY
  // Of n / d, times one of these powers of four, one is a double that has all its digits.
  const [square, exponent] = [0n, 500n, -500n, 1000n, -1000n]
    .map((by) => [by < 0n ? nearest(n, d * 4n ** -by) : nearest(n * 4n ** by, d), Number(by)] as const)
    .find(([x]) => x > 1e-290 && Number.isFinite(x)) as [number, number]
  const guess = Math.min(Math.sqrt(square) * 2 ** -exponent, Number.MAX_VALUE)
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, guess)
  const bits = view.getBigUint64(0)
  const beside = (by: bigint): number => {
    view.setBigUint64(0, bits + by < 0n ? 0n : bits + by)
    return view.getFloat64(0)
  }
  for (const by of [0n, 1n, -1n, 2n, -2n]) {
    const below = (units(beside(by)) + units(beside(by - 1n))) ** 2n
    const above = (units(beside(by)) + units(beside(by + 1n))) ** 2n
    const even = (bits + by) % 2n === 0n // on a midpoint the even one is the nearest
    const square = n << 2150n
    if ((even ? below * d <= square : below * d < square) && (even ? square <= above * d : square < above * d)) return beside(by)
  }
  throw new Error(`No double near ${guess} is the root.`)
}

/** A valid result of a sketch: any value within a relative error of the exact one. Compare it with `toEqual`. */
export interface Near {
  asymmetricMatch(other: unknown): boolean
}

/** @param values none of them null, at least one */
export function quantile(values: readonly number[], q: number, error: number): number | Near {
  if (values.some(Number.isNaN)) return Number.NaN
  const sorted = values.toSorted((a, b) => a - b)
  const exact = sorted[Math.floor(q * (sorted.length - 1))] as number
  if (exact === 0 || !Number.isFinite(exact)) return exact
  // Below that, numbers of one sign may be taken for each other.
  const largest = Math.max(...sorted.filter((x) => Number.isFinite(x) && Math.sign(x) === Math.sign(exact)).map(Math.abs))
  const floor = largest * 2 ** -63
  return {
    asymmetricMatch: (other) =>
      typeof other === 'number' &&
      Math.sign(other) === Math.sign(exact) &&
      (Math.abs(exact) < floor ? Math.abs(other) < floor : Math.abs(other - exact) <= Math.abs(exact) * error),
    toString: () => `within ${error} of ${exact}`,
  } as Near
}

/**
 * A double in units of 2^-1074, by halving and doubling alone. Infinity is where the double after the greatest one
 * would be.
 */
function units(x: number): bigint {
  if (x === Number.POSITIVE_INFINITY) return 2n ** 2098n
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
