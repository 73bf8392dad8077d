import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Accumulator, Aggregate } from '../../kernel/aggregates/aggregate.ts'
import { distinctCount } from '../../kernel/aggregates/distinct-count.ts'
import { quantile } from '../../kernel/aggregates/quantile.ts'
import { variance } from '../../kernel/aggregates/variance.ts'
import { where } from '../../kernel/aggregates/where.ts'
import { ByteReader, ByteWriter } from '../../kernel/values/binary.ts'
import { HyperLogLog } from '../../kernel/states/hyper-log-log.ts'
import type { Value } from '../../kernel/values/value-type.ts'
import { budget } from '../budget.ts'
import { quantile as exactQuantile } from './view-oracle.ts'

const float64 = { kind: 'float64' } as const
const int64 = { kind: 'int64' } as const

function folded(aggregate: Aggregate, values: readonly (Value | null)[]): Accumulator {
  const accumulator = aggregate.create()
  for (const value of values) accumulator.add({ eventTime: 0, knownTime: 0, visibleAt: 0, tie: 0, values: [value, true] })
  return accumulator
}

function bytesOf(accumulator: Accumulator): Buffer {
  const writer = new ByteWriter()
  accumulator.encode(writer)
  return writer.bytes()
}

function valueOf(aggregate: Aggregate, values: readonly (Value | null)[]): Value | null | undefined {
  return aggregate.value(folded(aggregate, values))
}

/**
 * A fixed sequence of numbers from 0 to 1 (mulberry32), so that what a sketch says of them is the same in every run.
 */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let x = Math.imul(state ^ (state >>> 15), 1 | state)
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32
  }
}

const double = fc.oneof(
  fc.integer({ min: -9, max: 9 }),
  fc.double(),
  fc.constantFrom(0, 1e160, -1e160, 1.7e308, -1.7e308, 5e-324, 1e-200, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
)
const long = fc.oneof(fc.bigInt(-9n, 9n), fc.constantFrom(2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)))
const text = fc.constantFrom('', 'a', 'é', 'ab', 'ab\0')
const kinds: { readonly name: string; readonly aggregate: Aggregate; readonly value: fc.Arbitrary<Value> }[] = [
  { name: 'the spread of floats', aggregate: variance('variance', 'population', 0, float64), value: double },
  { name: 'the spread of int64', aggregate: variance('stddev', 'sample', 0, int64), value: long },
  { name: 'a quantile of floats', aggregate: quantile(0.5, 0.01, 0), value: double },
  { name: 'a quantile of int64', aggregate: quantile(0.5, 0.1, 0), value: long },
  { name: 'a distinct count of floats', aggregate: distinctCount(0), value: double },
  { name: 'a distinct count of texts', aggregate: distinctCount(0), value: text },
  { name: 'a distinct count of many', aggregate: distinctCount(0), value: fc.integer() },
]

describe('the accumulator of', () => {
  for (const { name, aggregate: all, value } of kinds) {
    for (const aggregate of [all, where(1, all)]) {
      const values = fc.array(fc.option(value), { maxLength: 30 })

      it(`${name} (${aggregate.lane}) has the same bytes in any order, merged or read back`, () => {
        fc.assert(
          fc.property(values, fc.nat(30), fc.infiniteStream(fc.nat()), (list, cut, order) => {
            const expected = folded(aggregate, list)
            const shuffled = list.map((v) => ({ v, at: order.next().value as number })).sort((a, b) => a.at - b.at)
            const inOrder = shuffled.map(({ v }) => v)
            const parts = folded(aggregate, inOrder.slice(0, cut))
            const other = folded(aggregate, inOrder.slice(cut))
            const before = bytesOf(other)
            parts.merge(other)
            expect(bytesOf(other)).toEqual(before)
            const bytes = bytesOf(parts)
            expect(bytes).toEqual(bytesOf(expected))
            const reader = new ByteReader(bytes)
            const back = aggregate.decode(reader)
            expect(reader.done).toBe(true)
            expect(bytesOf(back)).toEqual(bytes)
            for (const one of [parts, back]) expect(aggregate.value(one)).toEqual(aggregate.value(expected))
          }),
          { numRuns: budget(300) },
        )
      })

      it(`${name} (${aggregate.lane}) is unchanged after a merge and its removal, if supported`, () => {
        fc.assert(
          fc.property(values, values, (kept, gone) => {
            const accumulator = folded(aggregate, kept)
            const part = folded(aggregate, gone)
            accumulator.merge(part)
            if (accumulator.remove(part)) expect(bytesOf(accumulator)).toEqual(bytesOf(folded(aggregate, kept)))
          }),
          { numRuns: budget(300) },
        )
      })
    }
  }
})

describe('variance and stddev', () => {
  it('do not lose the spread of close numbers far from zero', () => {
    const values = [1e9 + 0.25, 1e9 + 0.5, 1e9 + 0.75]
    expect(valueOf(variance('variance', 'population', 0, float64), values)).toBe(0.125 / 3)
    expect(valueOf(variance('variance', 'sample', 0, float64), values)).toBe(0.0625)
    expect(valueOf(variance('stddev', 'sample', 0, float64), values)).toBe(0.25)
    expect(valueOf(variance('stddev', 'population', 0, int64), [2n ** 62n + 1n, 2n ** 62n + 7n])).toBe(3)
  })

  it('are exact if squares exceed the range of doubles', () => {
    const exactVariance = variance('variance', 'population', 0, float64)
    const stddev = variance('stddev', 'population', 0, float64)
    expect(valueOf(stddev, [3e200, -3e200])).toBe(3e200)
    expect(valueOf(exactVariance, [3e200, -3e200])).toBe(Number.POSITIVE_INFINITY)
    expect(valueOf(stddev, [1e-320, -1e-320])).toBe(1e-320)
    expect(valueOf(exactVariance, [1e-320, -1e-320])).toBe(0)
    expect(valueOf(exactVariance, [5e-324, 5e-324, 5e-324])).toBe(0)
  })

  it('are null for no rows, 0 for equal numbers, NaN with an infinite or NaN value', () => {
    const population = variance('variance', 'population', 0, float64)
    expect(valueOf(population, [])).toBeNull()
    expect(valueOf(population, [null])).toBeNull()
    expect(valueOf(population, [-0, 0])).toBe(0)
    expect(valueOf(population, [0.1, 0.1, 0.1])).toBe(0)
    expect(valueOf(variance('variance', 'sample', 0, float64), [5])).toBeNull()
    expect(valueOf(population, [1, Number.POSITIVE_INFINITY])).toBeNaN()
    expect(valueOf(population, [1, Number.NaN])).toBeNaN()
  })
})

const uniform = (count: number, seed: number): number[] => Array.from({ length: count }, random(seed))
const skewed = uniform(20_000, 1).map((x) => 1 / (x + 1e-9) ** 3)
const streams: Record<string, readonly number[]> = {
  uniform: uniform(20_000, 2),
  'on both sides of zero': uniform(20_000, 3).map((x) => Math.round((x - 0.5) * 2000) / 10),
  skewed,
  'skewed below zero': skewed.map((x) => -x),
  constant: new Array<number>(1000).fill(-7.3),
  'of two numbers far apart': Array.from({ length: 1000 }, (_, i) => (i % 3 === 0 ? 1e-5 : 1e12)),
  'at both ends of the range': [5e-324, 1e-310, 2.2e-308, 1e308, Number.MAX_VALUE],
  'of whole numbers': uniform(20_000, 4).map((x) => Math.floor(x * 2000)),
}

describe('a quantile', () => {
  for (const [name, values] of Object.entries(streams)) {
    it(`is within its error of the exact one on data that are ${name}`, () => {
      for (const error of [0.001, 0.01, 0.05, 0.2]) {
        for (const q of [1e-9, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1 - 1e-9]) {
          expect({ error, q, value: valueOf(quantile(q, error, 0), values) }).toEqual({ error, q, value: exactQuantile(values, q, error) })
        }
      }
    })
  }

  it('counts the infinities as the least and the greatest, and NaN over all', () => {
    const values = [Number.NEGATIVE_INFINITY, -1, 0, 1, Number.POSITIVE_INFINITY]
    const at = (q: number): unknown => valueOf(quantile(q, 0.01, 0), values)
    expect([at(0.1), at(0.5), at(0.999), at(0.75)]).toEqual([Number.NEGATIVE_INFINITY, 0, expect.closeTo(1, 1), expect.closeTo(1, 1)])
    expect(valueOf(quantile(0.5, 0.01, 0), [Number.POSITIVE_INFINITY])).toBe(Number.POSITIVE_INFINITY)
    expect(valueOf(quantile(0.1, 0.01, 0), [1, Number.NaN])).toBeNaN()
    expect(valueOf(quantile(0.1, 0.01, 0), [null])).toBeNull()
  })

  it('keeps a bounded number of buckets for any range', () => {
    const values = Array.from({ length: 4000 }, (_, i) => 2 ** (i / 2 - 1000) * (1 + (i % 97) / 97))
    expect(bytesOf(folded(quantile(0.5, 0.2, 0), values)).length).toBeLessThan(64 * 2.5 * 4)
    expect(bytesOf(folded(quantile(0.5, 0.2, 0), values.toReversed()))).toEqual(bytesOf(folded(quantile(0.5, 0.2, 0), values)))
  })

  it('shares a lane with others of its column and error', () => {
    expect(quantile(0.9, 0.01, 3).lane).toBe(quantile(0.5, 0.01, 3).lane)
    expect(quantile(0.9, 0.01, 3).lane).not.toBe(quantile(0.9, 0.02, 3).lane)
    expect(quantile(0.9, 0.01, 3).lane).not.toBe(where(1, quantile(0.9, 0.01, 3)).lane)
  })
})

describe('a HyperLogLog', () => {
  it('keeps the greatest first-bit position for each 12-bit prefix of a hash', () => {
    const ranksOf = (...hashes: [high: number, low: number][]): number[] => {
      const sketch = new HyperLogLog()
      for (const [high, low] of hashes) sketch.add(high, low)
      return [...sketch.registers.subarray(0, 2), sketch.registers[4095] as number]
    }
    expect(ranksOf([0x000fffff, 0])).toEqual([1, 0, 0])
    expect(ranksOf([0x00000001, 0])).toEqual([20, 0, 0])
    expect(ranksOf([0x00100000, 0x80000000])).toEqual([0, 21, 0])
    expect(ranksOf([0x00100000, 1])).toEqual([0, 52, 0])
    expect(ranksOf([0xfff00000, 0])).toEqual([0, 0, 53])
    expect(ranksOf([0xfff00001, 0], [0xfff80000, 0], [0, 0])).toEqual([53, 0, 20])
  })
})

describe('a distinct count', () => {
  const kindsOf: Record<string, (i: number) => Value> = {
    'ascending numbers': (i) => i,
    'numbers a fixed step apart': (i) => i * 2 ** 20,
    fractions: (i) => i / 7,
    int64: (i) => BigInt(i) * 2n ** 40n - 2n ** 62n,
    texts: (i) => `user-${i}`,
    'texts of one length': (i) => String(i).padStart(12, '0'),
  }
  for (const [name, make] of Object.entries(kindsOf)) {
    it(`is exact up to 512 and then within its error, of ${name}`, () => {
      for (const count of [0, 1, 2, 100, 512]) {
        const values = Array.from({ length: count }, (_, i) => make(i))
        expect(valueOf(distinctCount(0), [...values, ...values, null])).toBe(count)
      }
      for (const count of [513, 1000, 3000, 10_000, 30_000, 100_000]) {
        const found = valueOf(
          distinctCount(0),
          Array.from({ length: count }, (_, i) => make(i)),
        ) as number
        expect({ count, off: Math.abs(found / count - 1) < 0.05 }).toEqual({ count, off: true }) // three standard errors
      }
    })
  }

  it('has its standard error of 1.6 % over many sets, and no bias', () => {
    const errors = Array.from({ length: 100 }, (_, set) => {
      const found = valueOf(
        distinctCount(0),
        Array.from({ length: 5000 }, (_, i) => set * 5000 + i),
      ) as number
      return found / 5000 - 1
    })
    const mean = errors.reduce((a, b) => a + b) / errors.length
    const rms = Math.sqrt(errors.reduce((a, b) => a + b * b, 0) / errors.length)
    expect(Math.abs(mean)).toBeLessThan(0.005)
    expect(rms).toBeLessThan(0.02)
  })

  it('has the same bytes in any order and split, on both sides of its bound', () => {
    const values = Array.from({ length: 1200 }, (_, i) => `v${i % 700}`)
    for (const cut of [0, 100, 512, 513, 800]) {
      for (const list of [values, values.toReversed()]) {
        const parts = folded(distinctCount(0), list.slice(0, cut))
        parts.merge(folded(distinctCount(0), list.slice(cut)))
        expect(bytesOf(parts)).toEqual(bytesOf(folded(distinctCount(0), values)))
        expect(bytesOf(distinctCount(0).decode(new ByteReader(bytesOf(parts))) as Accumulator)).toEqual(bytesOf(parts))
      }
    }
  })

  it('counts NaN once, -0 as 0, and the empty text', () => {
    expect(valueOf(distinctCount(0), [Number.NaN, Number.NaN, 0, -0])).toBe(2)
    expect(valueOf(distinctCount(0), ['', 'a', '', null])).toBe(2)
    expect(valueOf(distinctCount(0), [true, false, true])).toBe(2)
    expect(valueOf(distinctCount(0), [2n ** 53n, 2n ** 53n + 1n])).toBe(2)
  })
})
