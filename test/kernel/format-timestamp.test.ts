import fc from 'fast-check'
import { expect, it } from 'vitest'
import { formatTimestamp, formatTimestampFully, parseTimestamp } from '../../kernel/values/time.ts'

const second = 1_000_000

it('writes moments of any order, also before 1970, with as many decimals as needed', () => {
  expect([0, 1, -1, second, second + 500_000, second, -second - 250].map(formatTimestamp)).toEqual([
    '1970-01-01T00:00:00Z',
    '1970-01-01T00:00:00.000001Z',
    '1969-12-31T23:59:59.999999Z',
    '1970-01-01T00:00:01Z',
    '1970-01-01T00:00:01.5Z',
    '1970-01-01T00:00:01Z',
    '1969-12-31T23:59:58.99975Z',
  ])
})

it('is read back as it was', () => {
  const moment = fc.integer({ min: -9e15, max: 9e15 })
  const near = fc
    .tuple(moment, fc.array(fc.integer({ min: -2 * second, max: 2 * second })))
    .map(([at, by]) => [at, ...by.map((d) => at + d)])
  fc.assert(
    fc.property(near, (moments) => {
      for (const at of moments) {
        const text = formatTimestamp(at)
        expect(parseTimestamp(text)).toBe(at)
        // the same with six decimals or none
        expect(formatTimestampFully(at)).toBe(text.replace(/\.(\d+)Z$/, (_, digits: string) => `.${digits.padEnd(6, '0')}Z`))
        // to the millisecond, as the platform writes it
        expect(new Date(text).getTime()).toBe(Math.floor(at / 1000))
      }
    }),
  )
})
