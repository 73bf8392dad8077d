import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileView } from '../../kernel/compile-view.ts'
import { noTransactions } from '../../kernel/states/frontier.ts'
import { tieOfColumns, tieOfIdentity } from '../../kernel/states/greatest-bytes.ts'
import { aggregateResultType } from '../../kernel/result-type.ts'
import { stateBytes } from '../../kernel/states/state-bytes.ts'
import type { EntityState, Tie } from '../../kernel/states/state.ts'
import { maxPendingRows } from '../../kernel/states/state.ts'
import { decodeStored, encodeStored } from '../../kernel/states/stored-state.ts'
import type { Value } from '../../kernel/values/value-type.ts'
import { maxMicros } from '../../kernel/values/value-type.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { AggregateName, AggregateParameters, FeatureSpec } from '../../kernel/specs/view-spec.ts'
import { allColumns, featuresArbitrary, flag, hour, minute, origins, rowsArbitrary, viewSpec } from './view-oracle.ts'

const [origin] = origins
const step = 50_000_000
const continuous = { kind: 'continuous' } as const

function planOf(features: readonly FeatureSpec[]): ViewPlan {
  return compileView({ spec: viewSpec('things', features, continuous), code: null, fingerprint: 'f' })
}

/** Hops that share one chain of levels, and one that does not. */
const windows = [
  [10 * minute, step],
  [25 * minute, 5 * minute],
  [3 * hour, 5 * minute],
  [7 * hour, hour],
  [hour, 7 * minute],
] as const

function over(aggregate: AggregateName, columnName: string | null, more: AggregateParameters = {}): FeatureSpec[] {
  const column = allColumns.find(({ name }) => name === columnName) ?? null
  const type = aggregateResultType(aggregate, column?.type ?? null)
  if (type === null) throw new Error(`${aggregate} takes no ${columnName}`)
  const base = { type, aggregate, column: columnName, default: null, required: false, ...more }
  return [
    { ...base, kind: 'lifetime', name: 'ever' },
    ...windows.map(([windowMicros, hopMicros], i) => ({ ...base, kind: 'window' as const, windowMicros, hopMicros, name: `w${i}` })),
  ]
}

const latest: readonly FeatureSpec[] = allColumns.map(({ name, type }) => ({
  kind: 'latest',
  name,
  type,
  column: name,
  ttlMicros: null,
  default: null,
  required: false,
  ...(name === 's' ? { where: flag.name } : {}),
}))

const floats = [Number.MAX_VALUE, Number.MIN_VALUE, 1, 2 ** 479 * 1.1, 2 ** -479 * 1.1, Number.NaN, Infinity, -Infinity]
/** A value for each bucket of a quantile with an error of 0.1: five to the octave. */
const spreadOut = Array.from({ length: 64 * 5 }, (_, i) => 2 ** (1023 - Math.floor(i / 5)) * (1.05 + (i % 5) / 5)).flatMap((x) => [x, -x])

/** The rows of one tile that are worst for these columns. */
const worst: Readonly<Record<string, readonly Value[]>> = {
  i: [2 ** 31 - 1, 2 ** 31 - 1, 1],
  big: [2n ** 63n - 1n],
  f: floats,
  buckets: spreadOut,
  s: ['', 'a', 'b'],
  many: Array.from({ length: 512 }, (_, i) => BigInt(i)),
}

function add(plan: ViewPlan, state: EntityState, time: number, tie: Tie, by: { column: string; value: Value }, now: number): void {
  const values = plan.columns.map(({ name, type }) =>
    name === by.column ? by.value : name === flag.name ? true : type.kind === 'string' ? '' : type.kind === 'int64' ? 1n : 2 ** 31 - 1,
  )
  const row = plan.fold(time, time + 1, tie, values)
  if (row !== null) state.add(row, now)
}

/**
 * States that are as large as rows can make them, up to moments that fall differently between the edges of hops; the
 * largest one's bytes.
 */
function largest(plan: ViewPlan, kind: string, tieOf: (i: number) => Tie, pending: number): number {
  const column = kind === 'buckets' ? 'f' : kind === 'many' ? 'big' : kind
  const sizes = [0, 54 * minute + 59_999_999, 59 * minute + 59_999_998].map((offset) => {
    const end = Math.floor((origin + 20 * hour) / hour) * hour + offset
    let state = plan.newState()
    let i = 0
    const length = kind === 'buckets' || kind === 'many' ? hour / 2 : 9 * hour
    for (let time = end - length; time < end - 1; time += step) {
      for (const value of worst[kind] as Value[]) add(plan, state, time, tieOf(i++), { column, value }, end)
    }
    add(plan, state, end - 1, tieOf(i++), { column, value: worst[kind]?.[0] as Value }, end)
    // As if there were as many rows as there can be: joined with the one before, counts and sums grow as Fibonacci's
    // numbers do.
    let [before, now] = [encodeStored(state, noTransactions), encodeStored(state, noTransactions)]
    for (let [fewer, rows] = [i, i]; fewer + rows < 2 ** 35; [fewer, rows] = [rows, fewer + rows]) {
      const joined = decodeStored(plan, now)
      joined.merge(decodeStored(plan, before))
      ;[before, now] = [now, encodeStored(joined, noTransactions)]
    }
    state = decodeStored(plan, now)
    for (let p = 0; p < pending; p++)
      add(plan, state, end + hour, tieOf(i++), { column, value: (worst[kind] as Value[]).at(-1) as Value }, end)
    return encodeStored(state, noTransactions).length
  })
  return Math.max(...sizes)
}

const identity = (i: number): Tie => maxMicros - i
const cases: readonly [string, string, FeatureSpec[]][] = [
  ['counts', 'i', over('count', null)],
  ['sums of int32', 'i', over('sum', 'i')],
  ['sums of int64', 'big', over('sum', 'big')],
  ['sums of float64', 'f', over('sum', 'f')],
  ['spreads of int32', 'i', over('variance', 'i')],
  ['spreads of int64', 'big', over('stddev', 'big')],
  ['spreads of float64', 'f', over('variance', 'f')],
  ['extremes', 'i', [...over('max', 'i')]],
  ['edges', 'big', over('first', 'big')],
  ['many edges', 'i', over('lastN', 'i', { n: 3 })],
  ['many distinct values', 'i', over('lastDistinctN', 'i', { n: 2 })],
  ['categories', 's', over('histogram', 's', { cap: 3 })],
]

describe('the greatest bytes of a state', () => {
  it.each(cases)('are reached by %s in all tiles, and not passed', (_, column, features) => {
    const plan = planOf(features)
    const { bytes, pending } = stateBytes(plan.spec, tieOfIdentity)
    const waiting = 200
    const most = bytes - (pending.most - waiting) * pending.each.bytes
    const real = largest(plan, column, identity, waiting)
    expect(real).toBeLessThanOrEqual(most)
    expect(real).toBeGreaterThan(most * 0.7)
  })

  it.each([
    ['quantiles', 'buckets', 'f', { quantile: 0.5, error: 0.1 }, 'quantile'],
    ['distinct values', 'many', 'big', {}, 'distinctCount'],
  ] as const)('are reached by %s, and not passed', (_, kind, column, parameters, aggregate) => {
    const short = over(aggregate, column, parameters).filter((f) => f.kind !== 'window' || f.windowMicros === 10 * minute)
    const plan = planOf(short)
    const { bytes, pending } = stateBytes(plan.spec, tieOfIdentity)
    const most = bytes - pending.most * pending.each.bytes
    const real = largest(plan, kind, identity, 0)
    expect(real).toBeLessThanOrEqual(most)
    expect(real).toBeGreaterThan(most * 0.7)
  })

  it('count the latest rows, the columns that break ties, and texts apart', () => {
    const plan = planOf([...latest, ...over('last', 's')])
    const tie = tieOfColumns(allColumns.map(({ type }) => type))
    const { bytes, texts, pending } = stateBytes(plan.spec, tie)
    const text = 'é'.repeat(50)
    const state = plan.newState()
    const end = origin + 9 * hour
    const columnsTie = (i: number): Tie => String.fromCharCode(...Array.from({ length: tie.bytes - 5 + 100 }, (_, at) => (i >> at) & 0xff))
    let i = 0
    for (let time = origin; time < end; time += step) add(plan, state, time, columnsTie(i++), { column: 's', value: text }, end)
    const [folded, most] = [encodeStored(state, noTransactions).length, bytes - pending.most * pending.each.bytes]
    expect(folded).toBeLessThanOrEqual(most + (texts - pending.most * pending.each.texts) * 100)
    for (let p = 0; p < maxPendingRows; p++) add(plan, state, end + hour, columnsTie(i++), { column: 's', value: text }, end)
    const real = encodeStored(state, noTransactions).length
    expect(real).toBeLessThanOrEqual(bytes + texts * 100)
    expect(real).toBeGreaterThan((bytes + texts * 100) * 0.85)
  })

  it('are never less than the size of a generated state', () => {
    fc.assert(
      fc.property(featuresArbitrary, rowsArbitrary(origin, 40), fc.integer({ min: 0, max: 20 }), (features, rows, hours) => {
        const plan = planOf(features)
        const state = plan.newState()
        const slots = plan.columns.map(({ name }) => allColumns.findIndex((column) => column.name === name))
        for (const { eventTime, knownTime, tie, values } of rows) {
          const row = plan.fold(
            eventTime,
            knownTime,
            tie,
            slots.map((slot) => values[slot] ?? null),
          )
          if (row !== null) state.add(row, origin + hours * hour)
        }
        const { bytes, texts } = stateBytes(plan.spec, tieOfIdentity)
        expect(encodeStored(state, noTransactions).length).toBeLessThanOrEqual(bytes + 4 * texts)
      }),
    )
  })
})
