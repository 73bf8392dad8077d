import { Status, statusNames } from '../../kernel/states/state.ts'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { compileService } from '../../kernel/compile-service.ts'
import { compileView } from '../../kernel/compile-view.ts'
import { allBelow } from '../../kernel/states/frontier.ts'
import type { Floats } from '../../kernel/states/packed-row.ts'
import { fillFloats, PackedRow } from '../../kernel/states/packed-row.ts'
import type { ServiceSpec } from '../../kernel/specs/service-spec.ts'
import { encodeStored, readHeader } from '../../kernel/states/stored-state.ts'
import type { Column, Value, ValueType } from '../../kernel/values/value-type.ts'
import { canonical } from '../../kernel/values/value-type.ts'
import type { ViewPlan } from '../../kernel/view-plan.ts'
import type { FeatureSpec, ViewSpec } from '../../kernel/specs/view-spec.ts'
import { viewSpec } from './view-oracle.ts'

const numbers = ['float64', 'float32', 'bool', 'int64', 'int32', 'timestamp'] as const
const arbitraries = {
  float64: fc.double(),
  float32: fc.float(),
  bool: fc.boolean(),
  int64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  int32: fc.integer(),
  timestamp: fc.maxSafeInteger(),
} satisfies Record<string, fc.Arbitrary<Value>>
const now = 1_000_000

/** A view of the latest values of columns of these types, in their order. */
function viewOf(name: string, types: readonly ValueType[]): ViewPlan {
  const columns = types.map((type, i): Column => ({ name: `c${i}`, type }) as Column)
  const features = columns.map(
    ({ name: column, type }) =>
      ({ kind: 'latest', name: column, type, column, ttlMicros: null, default: null, required: false }) as unknown as FeatureSpec,
  )
  const spec = viewSpec(name, features, { kind: 'continuous' })
  const source: ViewSpec['source'] = { ...spec.source, columns }
  return compileView({ spec: { ...spec, source }, code: null, fingerprint: 'v' })
}

/** The answer of a stored state that has one row of these values. */
function answer(plan: ViewPlan, values: readonly (Value | null)[]) {
  const state = plan.newState()
  const row = plan.fold(now, null, 1, values)
  if (row === null) throw new Error('the row counts')
  state.add(row, now)
  const bytes = encodeStored(state, allBelow(7))
  const { bodyAt, highWater } = readHeader(bytes, plan.id)
  return { stored: plan.valueAt(bytes, bodyAt, highWater, now), state: state.valueAt(now) }
}

function members(plan: ViewPlan, alias: string | null, features = plan.features.map(({ name }) => name)): ServiceSpec['members'][number] {
  return { kind: 'view', use: { view: plan.id, alias, key: ['thing'] }, features }
}

const rowArbitrary = fc.array(fc.constantFrom(...numbers), { minLength: 1, maxLength: 12 }).chain((kinds) =>
  fc.tuple(
    fc.constant(kinds),
    fc.tuple(
      ...kinds.map((kind) =>
        fc.option(
          (arbitraries[kind] as fc.Arbitrary<Value>).map((value) => canonical({ kind }, value)),
          { freq: 40 },
        ),
      ),
    ),
    fc.subarray(kinds.map((_, i) => i)),
  ),
)

it('fills a tensor as its values would, for any selection, read before or after', () => {
  fc.assert(
    fc.property(rowArbitrary, fc.boolean(), ([kinds, values, chosen], doubled) => {
      const plan = viewOf(
        'packed',
        kinds.map((kind) => ({ kind })),
      )
      const { stored, state } = answer(plan, values)
      expect(stored instanceof PackedRow).toBe(!values.includes(null))
      const names = chosen.toReversed().map((i) => `c${i}`)
      const service = compileService({
        spec: {
          name: 'all',
          version: 1,
          members: [members(plan, null, names), ...(doubled ? [members(plan, 'again', names)] : [])].filter(() => names.length > 0),
        },
        fingerprint: 's',
        views: new Map([[plan.id, plan]]),
        onDemand: new Map(),
      })
      const read = service.uses.map(() => stored)
      const width = service.features.length
      const columns = service.features.map((_, feature) => ({ feature, offset: width - 1 - feature, width: 1 }))
      const expected = service.evaluate(
        service.uses.map(() => state),
        [],
        now,
      )
      for (const make of [(n: number): Floats => new Float32Array(n), (n: number): Floats => new Float64Array(n)]) {
        const [told, before, after] = [make(2 * width), make(2 * width), make(2 * width)]
        fillFloats(told, width, columns, expected.values)
        const row = service.evaluate(read, [], now)
        row.fill(before, width, columns)
        expect(before).toEqual(told)
        // each twice
        const [counts, counted] = [new Float64Array(width * statusNames.length), new Float64Array(width * statusNames.length)]
        for (const each of [row, row]) each.countLacking(counts)
        for (const [f, status] of expected.statuses.entries()) if (status !== Status.present) counted[f * statusNames.length + status] = 2
        expect(counts).toEqual(counted)
        expect(row.values).toEqual(expected.values)
        expect(row.statuses).toEqual(expected.statuses)
        expect(row.eventTimes).toEqual(expected.eventTimes)
        row.fill(after, width, columns)
        expect(after).toEqual(told)
      }
    }),
  )
})

it('reports bytes that end inside the values as corrupt, before they are read', () => {
  for (const kind of numbers) {
    const plan = viewOf('short', [{ kind: 'float64' }, { kind }])
    const state = plan.newState()
    const values: Record<string, Value> = { float64: 1.5, float32: 2.5, bool: true, int64: 7n, int32: 1_000_000, timestamp: 1_000_000 }
    const row = plan.fold(now, null, 1, [0.5, values[kind] ?? null])
    if (row === null) throw new Error('the row counts')
    state.add(row, now)
    const bytes = encodeStored(state, allBelow(7))
    const { bodyAt, highWater } = readHeader(bytes, plan.id)
    for (const wrong of [bytes.subarray(0, -1), Buffer.concat([bytes, Buffer.from([0])])]) {
      expect(() => plan.valueAt(wrong, bodyAt, highWater, now), kind).toThrow(expect.objectContaining({ code: 'STATE_CORRUPT' }))
    }
  }
})
