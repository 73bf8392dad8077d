import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { float16Bits, float16Value } from '../../inference/float16.ts'
import { budget } from '../budget.ts'

/** The number of each bit pattern from 0 to infinity, in whole steps of the least number. */
const numbers = Array.from({ length: 0x7c00 }, (_, bits) => {
  const binade = Math.max(bits >> 10, 1)
  return ((bits < 1024 ? 0 : 1024) + (bits % 1024)) * 2 ** (binade - 25)
})
const above = 2 ** 16

/** The nearest of all numbers. Of two that are as near, that of the even bits. */
function nearest(size: number): number {
  let [low, high] = [0, numbers.length]
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if ((numbers[middle] as number) <= size) low = middle
    else high = middle
  }
  const [below, over] = [size - (numbers[low] as number), (numbers[high] ?? above) - size]
  return below === over ? low + (low % 2) : below < over ? low : high
}

describe('a float16', () => {
  it('has the value of its bits exactly, and that value has its bits', () => {
    const wrong = numbers.flatMap((value, bits) => {
      const negative = bits | 0x8000
      const isRight =
        Object.is(float16Value(bits), value) &&
        Object.is(float16Value(negative), -value) &&
        float16Bits(value) === bits &&
        float16Bits(-value) === negative
      return isRight ? [] : [bits]
    })
    expect(wrong).toEqual([])
    expect([0x7c00, 0xfc00, 0x7e00, 0xfc01].map(float16Value)).toEqual([
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      Number.NaN,
      Number.NaN,
    ])
    expect([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN].map(float16Bits)).toEqual([0x7c00, 0xfc00, 0x7e00])
  })

  it('is the nearest one of a number, ties to even', () => {
    const between = fc.integer({ min: 0, max: 0x7bff }).map((bits) => ((numbers[bits] as number) + (numbers[bits + 1] ?? above)) / 2)
    const beside = fc
      .tuple(between, fc.constantFrom(-1, 1))
      .map(([middle, side]) => middle * (1 + side * Number.EPSILON) + side * Number.MIN_VALUE)
    const size = fc.oneof(
      between,
      beside,
      fc.double({ min: 0, max: 70_000, noNaN: true }),
      fc.float({ min: 0, noNaN: true }),
      fc.double({ min: 0, noNaN: true }),
    )
    fc.assert(
      fc.property(size, (each) => {
        expect(float16Bits(each)).toBe(nearest(each))
        expect(float16Bits(-each)).toBe(nearest(each) | 0x8000)
      }),
      { numRuns: budget(5000) },
    )
  })
})
