import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ByteReader, ByteWriter } from '../../kernel/values/binary.ts'
import type { Frontier } from '../../kernel/states/frontier.ts'
import {
  allBelow,
  covers,
  frontierOf,
  frontierText,
  includes,
  intersection,
  maxRanges,
  noTransactions,
  oneTransaction,
  parseFrontier,
  readFrontier,
  union,
  withTransaction,
  without,
  writeFrontier,
} from '../../kernel/states/frontier.ts'
import { budget } from '../budget.ts'

const most = 60
const transactions = Array.from({ length: most }, (_, i) => i)

/** A set of transactions, by the plainest means. */
const set = fc
  .record({ below: fc.integer({ min: 0, max: most }), more: fc.array(fc.integer({ min: 0, max: most - 1 }), { maxLength: 40 }) })
  .map(({ below, more }) => new Set([...transactions.slice(0, below), ...more]))

const asFrontier = (xids: ReadonlySet<number>): Frontier =>
  [...xids].reduce((frontier, xid) => withTransaction(frontier, xid), noTransactions)
const asSet = (frontier: Frontier): Set<number> => new Set(transactions.filter((xid) => covers(frontier, xid)))

describe('a frontier', () => {
  it('contains exactly the transactions that were added, in any order', () => {
    fc.assert(
      fc.property(set, (xids) => {
        expect(asSet(asFrontier(xids))).toEqual(xids)
      }),
    )
  })

  it('has union, difference, subset and equality of sets, in one normal form', () => {
    fc.assert(
      fc.property(set, set, (a, b) => {
        const [one, other] = [asFrontier(a), asFrontier(b)]
        const outcomes: [Frontier, Set<number>][] = [
          [union(one, other), new Set([...a, ...b])],
          [without(one, other), new Set([...a].filter((xid) => !b.has(xid)))],
          [intersection(one, other), new Set([...a].filter((xid) => b.has(xid)))],
        ]
        // As data, not only as a set: equal sets have equal bytes.
        for (const [frontier, expected] of outcomes) expect(frontier).toEqual(asFrontier(expected))
        expect(includes(one, other)).toBe([...b].every((xid) => a.has(xid)))
      }),
      { numRuns: budget(1000) },
    )
  })

  it('has bytes and texts of which none is a prefix of another', () => {
    fc.assert(
      fc.property(set, set, (a, b) => {
        const [one, other] = [asFrontier(a), asFrontier(b)]
        const [bytes, others] = [bytesOf(one), bytesOf(other)]
        expect(readFrontier(new ByteReader(bytes))).toEqual(one)
        expect(parseFrontier(frontierText(one))).toEqual(one)
        expect(others.subarray(0, bytes.length).equals(bytes)).toBe(frontierText(one) === frontierText(other))
      }),
      { numRuns: budget(1000) },
    )
  })

  it('takes few bytes without ranges, and few more with one', () => {
    const far = 2 ** 41
    expect(bytesOf(allBelow(far)).length).toBe(8)
    expect(bytesOf(withTransaction(allBelow(far), far + 1_000)).length).toBe(11)
    expect(readFrontier(new ByteReader(bytesOf(allBelow(-7))))).toEqual(allBelow(-7))
  })

  it('has a text with its first and last transactions', () => {
    expect(frontierText(allBelow(1234))).toBe('1234')
    expect(frontierText(union(union(allBelow(1234), { below: 0, beyond: [{ from: 1236, to: 1241 }] }), oneTransaction(1250)))).toBe(
      '1234+1236..1240,1250',
    )
    for (const text of ['', 'x', '1234+', '1234+1234', '1234+9..7', '1234+1240,1236', '1.5', '7+8..', '1e3', '0x10', '5+9007199254740993'])
      expect(() => parseFrontier(text), text).toThrow(`"${text}" is not a frontier`)
  })

  it('of a snapshot contains the transactions that had ended', () => {
    const running = fc.uniqueArray(fc.integer({ min: 10, max: 39 })).map((xids) => xids.sort((a, b) => a - b))
    fc.assert(
      fc.property(running, fc.integer({ min: 40, max: 50 }), (xids, xmax) => {
        const frontier = frontierOf({ xmin: xids[0] ?? xmax, xmax, running: xids })
        expect(asSet(frontier)).toEqual(new Set(transactions.slice(0, xmax).filter((xid) => !xids.includes(xid))))
        expect(frontier).toEqual(asFrontier(asSet(frontier)))
      }),
    )
  })

  it('is bounded for a snapshot with very many open transactions, and omits the last', () => {
    const running = Array.from({ length: 2_000 }, (_, i) => 100 + 2 * i)
    const whole = { xmin: 100, xmax: 5_000, running }
    const frontier = frontierOf(whole)
    expect(frontier.beyond.length).toBe(maxRanges)
    expect([covers(frontier, 101), covers(frontier, 100 + 2 * maxRanges - 1), covers(frontier, 100 + 2 * maxRanges + 1)]).toEqual([
      true,
      true,
      false,
    ])
  })

  it('is refused if its bytes are malformed', () => {
    const malformed = [[1, 0, 5], [1, 5, 0], [0xff, 0xff, 0xff, 0x7f], [2, 5, 5, 0, 5], [1]]
    for (const ranges of malformed) {
      const bytes = Buffer.concat([bytesOf(allBelow(9)).subarray(0, 1), Buffer.from(ranges)])
      expect(() => readFrontier(new ByteReader(bytes)), ranges.join()).toThrow(expect.objectContaining({ code: 'STATE_CORRUPT' }))
    }
  })
})

function bytesOf(frontier: Frontier): Buffer {
  const writer = new ByteWriter()
  writeFrontier(writer, frontier)
  return writer.bytes()
}
