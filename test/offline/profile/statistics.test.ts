import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ExactSum } from '../../../kernel/states/exact-sum.ts'
import type { Value, ValueType } from '../../../kernel/values/value-type.ts'
import { collectStatistics } from '../../../offline/profile/column-statistics.ts'
import type { NumberStatistics } from '../../../offline/profile/number-statistics.ts'
import { budget } from '../../budget.ts'

function statistics(type: ValueType, ...batches: readonly (readonly (Value | null)[])[]) {
  const collector = collectStatistics([{ name: 'x', type }])
  for (const batch of batches) collector.update([batch])
  const [result] = collector.result()
  if (result === undefined) throw new Error('no statistics')
  return result
}

function numbers(type: ValueType, ...batches: readonly (readonly (Value | null)[])[]): NumberStatistics {
  const found = statistics(type, ...batches).numbers
  if (found === undefined) throw new Error('no statistics of numbers')
  return found
}

const float64 = { kind: 'float64' } as const

/** The square root of a ratio of big integers, to 60 bits: by whole numbers alone. */
function oracleStddev(values: readonly number[]): number {
  const fixed = values.map(toFixed)
  const n = BigInt(values.length)
  const sum = fixed.reduce((a, b) => a + b, 0n)
  const numerator = n * fixed.reduce((a, b) => a + b * b, 0n) - sum * sum
  const root = integerRoot((numerator << 240n) / (n * (n - 1n))) // in units of 2^-1074 * 2^-120
  const cut = Math.max(root.toString(2).length - 60, 0)
  const half = Math.floor((cut - 1194) / 2)
  return Number(root >> BigInt(cut)) * 2 ** half * 2 ** (cut - 1194 - half)
}

function toFixed(x: number): bigint {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, x)
  const bits = view.getBigUint64(0)
  const exponent = (bits >> 52n) & 0x7ffn
  const fraction = bits & ((1n << 52n) - 1n)
  const size = exponent === 0n ? fraction : (fraction | (1n << 52n)) << (exponent - 1n)
  return bits >> 63n === 1n ? -size : size
}

function integerRoot(n: bigint): bigint {
  if (n < 2n) return n
  let x = 1n << BigInt((n.toString(2).length >> 1) + 1)
  for (;;) {
    const next = (x + n / x) >> 1n
    if (next >= x) return x
    x = next
  }
}

describe('the statistics of numbers', () => {
  const finite = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer({ min: -1000, max: 1000 }), fc.constant(0.1))

  it('have exact moments in any order', () => {
    fc.assert(
      fc.property(fc.array(finite, { minLength: 2, maxLength: 40 }), (values) => {
        const { mean, stddev, min, max } = numbers(float64, values)
        const sum = new ExactSum()
        for (const value of values) sum.add(value)
        expect(mean).toBe(sum.mean(values.length))
        expect([min, max]).toEqual([Math.min(...values) + 0, Math.max(...values) + 0])
        const wanted = oracleStddev(values)
        if (!Number.isFinite(wanted)) expect(stddev).toBe(null)
        else expect(Math.abs((stddev ?? Number.NaN) - wanted)).toBeLessThanOrEqual(wanted * 2 ** -50 + Number.MIN_VALUE)
        expect(numbers(float64, values.toReversed().slice(0, 5), values.toReversed().slice(5))).toEqual(numbers(float64, values))
      }),
      { numRuns: budget(300) },
    )
  })

  it('stay exact over many rows, with sums carried between them', () => {
    const values = Array.from({ length: 100_000 }, (_, i) => (i % 7) - 3 + (i % 3) * 0.1)
    const sum = new ExactSum()
    for (const value of values) sum.add(value)
    const { mean, stddev } = numbers(float64, values)
    expect(mean).toBe(sum.mean(values.length))
    expect(stddev).toBeCloseTo(Math.sqrt(values.reduce((all, x) => all + (x - (mean ?? 0)) ** 2, 0) / (values.length - 1)), 10)
  })

  it('have quantiles to within 1/128, and histograms with exact counts', () => {
    fc.assert(
      fc.property(fc.array(finite, { minLength: 1, maxLength: 300 }), (values) => {
        const sorted = values.toSorted((a, b) => a - b)
        const { quantiles, histogram } = numbers(float64, values)
        for (const [q, estimate] of Object.entries(quantiles)) {
          const exact = sorted[Math.floor(Number(q) * (sorted.length - 1))] as number
          // a subnormal has fewer bits than tell its bucket apart
          expect(Math.abs(estimate - exact)).toBeLessThanOrEqual(Math.max(Math.abs(exact) / 128, 2 ** -1022 / 64))
        }
        const { edges, counts } = histogram
        expect(edges.length).toBe(counts.length + 1)
        expect(counts.length).toBeLessThanOrEqual(65)
        expect(edges).toEqual(edges.toSorted((a, b) => a - b))
        const within = counts.map((_, i) => {
          const [from, to] = [edges[i] as number, edges[i + 1] as number]
          return values.filter((x) => x >= from && (x < to || (i === counts.length - 1 && x === to))).length
        })
        expect(within).toEqual(counts)
        expect(counts.reduce((a, b) => a + b, 0)).toBe(values.length)
      }),
      { numRuns: budget(300) },
    )
  })

  it('give small integers exactly, and frequent ones a separate bin', () => {
    const values = [...Array.from({ length: 500 }, () => 0), ...Array.from({ length: 300 }, (_, i) => (i % 100) - 20), -3, -3, 64, 1_000]
    const { quantiles, histogram } = numbers({ kind: 'int32' }, values)
    const sorted = values.toSorted((a, b) => a - b)
    for (const [q, estimate] of Object.entries(quantiles)) expect(estimate).toBe(sorted[Math.floor(Number(q) * (sorted.length - 1))])
    const zero = histogram.edges.indexOf(0)
    expect([histogram.counts[zero], histogram.edges[zero + 1]]).toEqual([503, Number.MIN_VALUE])
  })

  it('have at most 65 bins if frequent and rare values alternate', () => {
    const values = Array.from({ length: 30 }, (_, i) => [...Array.from({ length: 40 }, () => 2 * i), 2 * i + 1]).flat()
    const { counts } = numbers({ kind: 'int32' }, values).histogram
    expect(counts.length).toBe(60)
    expect(
      numbers(
        { kind: 'int32' },
        Array.from({ length: 100_000 }, (_, i) => i),
      ).histogram.counts.length,
    ).toBeLessThan(40)
  })

  it('count values that are not finite, and exclude them from the rest', () => {
    const found = statistics(float64, [null, Number.NaN, Infinity, -Infinity, Infinity, 2, -0, null], [4])
    expect(found).toMatchObject({
      column: 'x',
      count: 7,
      nulls: 2,
      numbers: { nan: 1, positiveInfinity: 2, negativeInfinity: 1, mean: 2, stddev: 2, min: 0, max: 4 },
    })
    expect(numbers(float64, [null, Number.NaN])).toMatchObject({ mean: null, stddev: null, min: null, max: null, quantiles: {} })
    expect(JSON.parse(JSON.stringify(found))).toEqual(found)
  })

  it('hold the greatest and smallest doubles, and what only an int64 can be', () => {
    const edge = numbers(float64, [Number.MAX_VALUE, -Number.MAX_VALUE, 5e-324, -5e-324])
    expect(edge).toMatchObject({ mean: 0, min: -Number.MAX_VALUE, max: Number.MAX_VALUE })
    expect(JSON.parse(JSON.stringify(edge))).toEqual(edge)
    const big = [2n ** 63n - 1n, 2n ** 63n - 3n, 9_007_199_254_740_993n, 5n, 0n]
    expect(numbers({ kind: 'int64' }, big.slice(0, 1), big.slice(1))).toMatchObject({ min: 0, max: '9223372036854775807' })
    expect(numbers({ kind: 'int64' }, [2n ** 63n - 1n, 2n ** 63n - 3n]).stddev).toBe(Math.SQRT2)
  })
})

describe('the statistics of other columns', () => {
  it('list the most frequent texts and booleans', () => {
    expect(statistics({ kind: 'string' }, ['b', 'a', null, 'b', 'a', 'c']).values).toEqual({
      top: [
        { value: 'a', count: 2 },
        { value: 'b', count: 2 },
        { value: 'c', count: 1 },
      ],
      distinct: 3,
      approximate: false,
      error: 0,
    })
    expect(statistics({ kind: 'bool' }, [true, false, true, null]).values?.top).toEqual([
      { value: true, count: 2 },
      { value: false, count: 1 },
    ])
  })

  it('are approximate above the limit of distinct values, with a known error', () => {
    const values = Array.from({ length: 60_000 }, (_, i) => (i % 4 === 0 ? 'often' : i % 5 === 0 ? 'less often' : `only ${i}`))
    const found = statistics({ kind: 'string' }, values).values
    if (found === undefined) throw new Error('no values')
    const { top, distinct, approximate, error } = found
    expect([approximate, distinct]).toEqual([true, null])
    expect(error).toBeLessThanOrEqual(60_000 / 4096)
    for (const [i, name] of ['often', 'less often'].entries()) {
      const exact = values.filter((value) => value === name).length
      expect(top[i]?.value).toBe(name)
      expect(top[i]?.count).toBeLessThanOrEqual(exact)
      expect(top[i]?.count).toBeGreaterThanOrEqual(exact - error)
    }
  })

  it('cut long texts', () => {
    expect(statistics({ kind: 'string' }, ['x'.repeat(1000)]).values?.top).toEqual([{ value: `${'x'.repeat(200)}…`, count: 1 }])
  })

  it('give the range of times, and the count of vectors', () => {
    expect(statistics({ kind: 'timestamp' }, [1_000_000, null, 0]).times).toEqual({
      min: '1970-01-01T00:00:00Z',
      max: '1970-01-01T00:00:01Z',
    })
    expect(statistics({ kind: 'timestamp' }, [null]).times).toEqual({ min: null, max: null })
    expect(statistics({ kind: 'vector', length: 1 }, [new Float32Array([1]), null])).toEqual({ column: 'x', count: 1, nulls: 1 })
  })
})
