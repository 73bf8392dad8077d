import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ByteReader, ByteWriter } from '../../kernel/values/binary.ts'
import { ExactSum } from '../../kernel/states/exact-sum.ts'
import { budget } from '../budget.ts'

/**
 * Doubles as m * 2^e, so that an exact sum is a sum of bigints: an oracle that shares nothing with the code under test.
 */
const term = fc.record({ m: fc.integer({ min: -(2 ** 31), max: 2 ** 31 }), e: fc.integer({ min: -60, max: 60 }) })
const toNumber = ({ m, e }: { m: number; e: number }): number => m * 2 ** e
const exactly = (terms: readonly { m: number; e: number }[]): bigint =>
  terms.reduce((sum, { m, e }) => sum + BigInt(m) * 2n ** BigInt(e + 60), 0n)

function sumOf(values: readonly number[]): ExactSum {
  const sum = new ExactSum()
  for (const value of values) sum.add(value)
  return sum
}

function bytesOf(sum: ExactSum): string {
  const writer = new ByteWriter()
  sum.encode(writer)
  return writer.bytes().toString('hex')
}

describe('ExactSum', () => {
  it('rounds the exact sum once, to the nearest double', () => {
    fc.assert(
      fc.property(fc.array(term, { maxLength: 40 }), (terms) => {
        expect(sumOf(terms.map(toNumber)).value()).toBe(Number(exactly(terms)) * 2 ** -60 + 0)
      }),
      { numRuns: budget(2000) },
    )
  })

  it('decides a tie by digits far below it', () => {
    expect(sumOf([1, 2 ** -53, 2 ** -106]).value()).toBe(1 + 2 ** -52)
    expect(sumOf([1, 2 ** -53]).value()).toBe(1)
    expect(sumOf([1, 2 ** -53, -(2 ** -106)]).value()).toBe(1)
  })

  it('rounds a mean once, to the nearest float of the exact quotient', () => {
    fc.assert(
      fc.property(fc.array(term, { minLength: 1, maxLength: 20 }), (terms) => {
        const mean = sumOf(terms.map(toNumber)).mean(terms.length)
        // Compared as |candidate * n - sum|, all in units of 2^-160, which the mean and its neighbours are multiples of
        // here.
        const distance = (candidate: number): bigint => {
          const difference = BigInt(candidate * 2 ** 160) * BigInt(terms.length) - exactly(terms) * 2n ** 100n
          return difference < 0n ? -difference : difference
        }
        const step = 2 ** (Math.floor(Math.log2(Math.abs(mean) || 1)) - 53)
        for (const neighbour of [mean + step, mean - step, mean + 2 * step, mean - 2 * step]) {
          if (neighbour !== mean) expect(distance(mean) <= distance(neighbour)).toBe(true)
        }
      }),
    )
  })

  it('gives the same bytes for any order and any split into merged parts', () => {
    const value = fc.oneof(
      fc.double(),
      term.map(toNumber),
      fc.constantFrom(1e308, -1e308, 5e-324, -0, Number.NaN, Number.POSITIVE_INFINITY),
    )
    fc.assert(
      fc.property(fc.array(value, { maxLength: 25 }), fc.nat(25), fc.infiniteStream(fc.nat()), (values, cut, order) => {
        const shuffled = [...values].map((v) => ({ v, at: order.next().value as number })).sort((a, b) => a.at - b.at)
        const parts = sumOf(shuffled.slice(0, cut).map((x) => x.v))
        parts.merge(sumOf(shuffled.slice(cut).map((x) => x.v)))
        expect(bytesOf(parts)).toBe(bytesOf(sumOf(values)))
        expect(parts.value()).toBe(sumOf(values).value())
      }),
      { numRuns: budget(1500) },
    )
  })

  it('is unchanged after a part is merged and removed', () => {
    fc.assert(
      fc.property(fc.array(fc.double(), { maxLength: 10 }), fc.array(fc.double(), { maxLength: 10 }), (kept, gone) => {
        const sum = sumOf(kept)
        sum.merge(sumOf(gone))
        sum.unmerge(sumOf(gone))
        expect(bytesOf(sum)).toBe(bytesOf(sumOf(kept)))
      }),
    )
  })

  it('survives intermediate sums beyond the largest double', () => {
    expect(sumOf([1e308, 1e308, -1e308, -1e308, 3]).value()).toBe(3)
    expect(sumOf([1e308, 1e308]).value()).toBe(Number.POSITIVE_INFINITY)
    expect(sumOf([1e308, 1e308]).mean(2)).toBe(1e308)
  })

  it('reads back the bytes that it wrote', () => {
    fc.assert(
      fc.property(fc.array(fc.double(), { maxLength: 10 }), (values) => {
        const bytes = Buffer.from(bytesOf(sumOf(values)), 'hex')
        const back = ExactSum.decode(new ByteReader(bytes))
        expect(bytesOf(back)).toBe(bytes.toString('hex'))
        expect(back.value()).toBe(sumOf(values).value())
      }),
    )
  })

  it('has NaN win over everything, and opposite infinities make NaN', () => {
    expect(sumOf([Number.NaN, Number.POSITIVE_INFINITY]).value()).toBeNaN()
    expect(sumOf([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]).value()).toBeNaN()
    expect(sumOf([Number.NEGATIVE_INFINITY, 1]).mean(2)).toBe(Number.NEGATIVE_INFINITY)
  })
})
