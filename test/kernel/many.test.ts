import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Accumulator, Aggregate } from '../../kernel/aggregates/aggregate.ts'
import { firstLastN } from '../../kernel/aggregates/first-last-n.ts'
import { histogram } from '../../kernel/aggregates/histogram.ts'
import { lastDistinctN } from '../../kernel/aggregates/last-distinct-n.ts'
import { topK } from '../../kernel/aggregates/top-k.ts'
import { ByteReader, ByteWriter } from '../../kernel/values/binary.ts'
import { compileView } from '../../kernel/compile-view.ts'
import type { FoldRow } from '../../kernel/states/state.ts'
import { isBefore } from '../../kernel/states/state.ts'
import { allBelow } from '../../kernel/states/frontier.ts'
import { decodeStored, encodeStored } from '../../kernel/states/stored-state.ts'
import { parseTimestamp } from '../../kernel/values/time.ts'
import type { CountsValue, Scalar } from '../../kernel/values/value-type.ts'
import type { AggregateSpec, FeatureSpec } from '../../kernel/specs/view-spec.ts'
import { budget } from '../budget.ts'
import { many } from './many-oracle.ts'
import { hour, minute, viewSpec } from './view-oracle.ts'

const text = { kind: 'string' } as const
const limit = { view: 'things@1', feature: 'f', cap: 1000, shared: 1000 }
const aggregates: readonly (readonly [aggregate: Aggregate, spec: Pick<AggregateSpec, 'aggregate' | 'n'>])[] = [
  [firstLastN('firstN', 3, 0, text), { aggregate: 'firstN', n: 3 }],
  [firstLastN('lastN', 3, 0, text), { aggregate: 'lastN', n: 3 }],
  [lastDistinctN(3, 0, text), { aggregate: 'lastDistinctN', n: 3 }],
  [topK(2, 0, text, limit), { aggregate: 'topK', n: 2 }],
  [histogram(0, text, limit), { aggregate: 'histogram' }],
]

const values = fc.option(fc.constantFrom('', 'a', 'b', 'a,b', '"', ' ', 'é', '\uFFFD', '\u{1F600}', '__proto__'))
const rowsArbitrary: fc.Arbitrary<FoldRow[]> = fc
  .array(fc.tuple(fc.nat(6), fc.option(fc.nat(3)), values), { maxLength: 20 })
  .map((rows) => rows.map(([time, lag, value], tie) => row(time, lag ?? 0, tie, value)))

function row(eventTime: number, lag: number, tie: number | string, value: Scalar | null): FoldRow {
  return { eventTime, knownTime: eventTime + lag, visibleAt: eventTime + lag, tie, values: [value] }
}

function of(aggregate: Aggregate, rows: readonly FoldRow[]): Accumulator {
  const accumulator = aggregate.create()
  for (const each of rows) accumulator.add(each)
  return accumulator
}

function bytes(accumulator: Accumulator): Buffer {
  const writer = new ByteWriter()
  accumulator.encode(writer)
  return writer.bytes()
}

/** Maps by their entries: their order counts. */
function ordered(value: unknown): unknown {
  return value instanceof Map ? [...(value as CountsValue)] : value
}

describe.each(aggregates)('$1.aggregate', (aggregate, spec) => {
  it('matches its definition for any row order and any split into merged parts', () => {
    fc.assert(
      fc.property(rowsArbitrary, fc.infiniteStream(fc.nat()), fc.integer({ min: 1, max: 4 }), (rows, draws, parts) => {
        const inOrder = [...rows].sort((a, b) => (isBefore(a, b) ? -1 : 1))
        const all = of(aggregate, rows)
        const expected = many(
          spec as AggregateSpec,
          inOrder.map((r) => r.values[0] as Scalar | null),
        )
        expect(ordered(aggregate.value(all))).toEqual(ordered(expected))

        const shuffled = rows.map((r) => ({ r, at: draws.next().value as number, part: (draws.next().value as number) % parts }))
        shuffled.sort((a, b) => a.at - b.at)
        const merged = aggregate.create()
        for (let part = 0; part < parts; part++) {
          const piece = of(
            aggregate,
            shuffled.filter((s) => s.part === part).map((s) => s.r),
          )
          const before = bytes(piece)
          merged.merge(aggregate.decode(new ByteReader(before)))
          merged.merge(aggregate.create())
          expect(bytes(piece)).toEqual(before)
        }
        expect(bytes(merged)).toEqual(bytes(all))
        expect(ordered(aggregate.value(aggregate.decode(new ByteReader(bytes(all)))))).toEqual(ordered(expected))
      }),
      { numRuns: budget(500) },
    )
  })

  it('removes a part without a trace, or reports that it cannot', () => {
    let without = 0
    fc.assert(
      fc.property(rowsArbitrary, fc.nat(6), fc.boolean(), (rows, cut, older) => {
        const [out, rest] = [rows.filter((r) => r.eventTime < cut === older), rows.filter((r) => r.eventTime < cut !== older)]
        const all = of(aggregate, rows)
        if (!all.remove(of(aggregate, out))) return
        without++
        expect(bytes(all)).toEqual(bytes(of(aggregate, rest)))
      }),
      { numRuns: budget(500) },
    )
    expect(without).toBeGreaterThan(budget(500) / 10)
  })
})

describe('firstN and lastN', () => {
  it('keep copies of one row, which have the same position', () => {
    const same = [row(1, 0, 'x', 'a'), row(1, 0, 'x', 'a'), row(1, 0, 'y', 'b'), row(1, 0, 'x', 'a')]
    expect(aggregates.slice(0, 2).map(([aggregate]) => aggregate.value(of(aggregate, same)))).toEqual([
      ['a', 'a', 'a'],
      ['a', 'a', 'b'],
    ])
  })
})

describe('lastDistinctN', () => {
  it('moves a value to the place of its newest row, and leaves out nulls', () => {
    const aggregate: Aggregate = lastDistinctN(2, 0, text)
    const rows = ['a', 'b', 'c', 'a', null, '\uD83D', 'a', '\uFFFD'].map((v, i) => row(i, 0, i, v))
    expect(rows.map((_, i) => aggregate.value(of(aggregate, rows.slice(0, i + 1))))).toEqual([
      ['a'],
      ['a', 'b'],
      ['b', 'c'],
      ['c', 'a'],
      ['c', 'a'],
      ['a', '\uFFFD'],
      ['\uFFFD', 'a'],
      ['a', '\uFFFD'],
    ])
    expect(aggregate.value(of(aggregate, [row(1, 0, 1, null)]))).toBeNull()
  })

  it('takes NaN as one value', () => {
    const aggregate: Aggregate = lastDistinctN(3, 0, { kind: 'float64' })
    const rows = [Number.NaN, 1, Number.NaN].map((v, i) => row(i, 0, i, v))
    expect(aggregate.value(of(aggregate, rows))).toEqual([1, Number.NaN])
  })
})

describe('topK and histogram', () => {
  it('sort topK by count and then value, and histogram categories by bytes', () => {
    const rows = ['b', '\u{1F600}', 'a', '\uFFFD', 'b', 'a', 'c', '\u{1F600}', '\uFFFD'].map((v, i) => row(i, 0, i, v))
    expect(topK(4, 0, text, limit).value(of(topK(4, 0, text, limit), rows))).toEqual(['a', 'b', '\uFFFD', '\u{1F600}'])
    expect(ordered(histogram(0, text, limit).value(of(histogram(0, text, limit), rows)))).toEqual([
      ['a', 2],
      ['b', 2],
      ['c', 1],
      ['\uFFFD', 2],
      ['\u{1F600}', 2],
    ])
  })

  it('count bools and integers, by value and by text', () => {
    const cases = [
      [{ kind: 'bool' }, [true, false, true], [true, false], ['false', 'true']],
      [{ kind: 'int32' }, [10, 9, -1, 9], [9, -1, 10], ['-1', '10', '9']],
      [{ kind: 'int64' }, [10n, 9n, 2n ** 60n], [9n, 10n, 2n ** 60n], ['10', '1152921504606846976', '9']],
    ] as const
    for (const [type, given, top, categories] of cases) {
      const rows = given.map((v, i) => row(i, 0, i, v))
      const all = of(topK(3, 0, type, limit), rows)
      const read = topK(3, 0, type, limit).decode(new ByteReader(bytes(all)))
      expect(topK(3, 0, type, limit).value(read)).toEqual(top)
      expect([...(histogram(0, type, limit).value(read) as CountsValue).keys()]).toEqual(categories)
    }
  })

  it('treat half a surrogate pair as U+FFFD', () => {
    const rows = ['\uD83D', '\uFFFD'].map((v, i) => row(i, 0, i, v))
    expect(ordered(histogram(0, text, limit).value(of(histogram(0, text, limit), rows)))).toEqual([['\uFFFD', 2]])
  })

  it('are exact up to the cap and fail above it, for any row order and split', () => {
    const small = { ...limit, cap: 3, shared: 5 }
    const letters = fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g'), { maxLength: 14 })
    fc.assert(
      fc.property(letters, fc.infiniteStream(fc.boolean()), (given, sides) => {
        const rows = given.map((v, i) => row(i, 0, i, v))
        const side = rows.map(() => sides.next().value)
        const [few, more] = [histogram(0, text, small), topK(9, 0, text, { ...small, cap: 5 })]
        expect(few.lane).toBe(more.lane)
        const all = of(few, rows)
        const merged = of(more, rows.filter((_, i) => side[i]).toReversed())
        merged.merge(
          of(
            few,
            rows.filter((_, i) => !side[i]),
          ),
        )
        expect(bytes(merged)).toEqual(bytes(all))
        const distinct = new Set(given).size
        for (const [aggregate, cap] of [
          [few, 3],
          [more, 5],
        ] as const) {
          const ask = () => aggregate.value(aggregate.decode(new ByteReader(bytes(all))))
          if (distinct > cap) expect(ask).toThrow(expect.objectContaining({ code: 'TOO_MANY_CATEGORIES' }))
          else expect(Array.from((ask() ?? []) as Iterable<unknown>)).toHaveLength(distinct)
        }
      }),
      { numRuns: budget(500) },
    )
  })

  it('share counts in a view, with separate caps, and recover after categories expire', () => {
    const origin = parseTimestamp('2001-03-01T00:00:00Z')
    const base = { kind: 'window', column: 's', windowMicros: hour, hopMicros: 5 * minute, default: null, required: false } as const
    const features: FeatureSpec[] = [
      { ...base, name: 'top', type: { kind: 'list', of: text, nulls: false }, aggregate: 'topK', n: 2, cap: 4 },
      { ...base, name: 'byStatus', type: { kind: 'counts' }, aggregate: 'histogram', cap: 2 },
    ]
    const view = compileView({ spec: viewSpec('things', features, { kind: 'continuous' }), code: null, fingerprint: 'f' })
    const state = view.newState()
    const arrive = (minutes: number, value: string, tie: number): void => {
      const folded = view.fold(origin + minutes * minute, null, tie, [value])
      if (folded !== null) state.add(folded, origin + minutes * minute)
    }
    const ask = (minutes: number): unknown[] =>
      decodeStored(view, encodeStored(state, allBelow(1)))
        .valueAt(origin + minutes * minute)
        .values.map(ordered)

    arrive(0, 'a', 1)
    arrive(1, 'b', 2)
    expect(ask(2)).toEqual([
      ['a', 'b'],
      [
        ['a', 1],
        ['b', 1],
      ],
    ])
    arrive(30, 'b', 3)
    arrive(30, 'c', 4)
    expect(() => ask(31)).toThrow(
      expect.objectContaining({
        code: 'TOO_MANY_CATEGORIES',
        message: expect.stringMatching(/"byStatus" of "things@1" has more than 2 categories/),
        details: { view: 'things@1', feature: 'byStatus', cap: 2 },
      }),
    )
    for (const [i, letter] of ['d', 'e', 'f'].entries()) arrive(40, letter, 5 + i)
    expect(() => ask(41)).toThrow(/"top" of "things@1" has more than 4 categories/)
    expect(() => state.valueAt(origin + 41 * minute)).toThrow(/"top"/)
    arrive(104, 'a', 9)
    expect(() => ask(104)).toThrow(/"byStatus"/)
    expect(ask(110)).toEqual([['a'], [['a', 1]]])
    expect(state.valueAt(origin + 110 * minute).values.map(ordered)).toEqual([['a'], [['a', 1]]])
  })
})
