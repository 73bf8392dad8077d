import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { covers } from '../../kernel/states/frontier.ts'
import { parsePushToken, pushToken } from '../../kernel/push-token.ts'

describe('the token of a push', () => {
  it('names the source and the transactions', () => {
    expect(pushToken('landings', [8125, 8123, 8124, 9000])).toBe('landings~0+8123..8125,9000')
    expect(pushToken('landings', [])).toBe('landings~0')
  })

  it('contains every transaction, in few ranges', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 1000 }), { maxLength: 300 }), (xids) => {
        const { source, written } = parsePushToken(pushToken('s', xids))
        expect(source).toBe('s')
        expect(xids.every((xid) => covers(written, xid))).toBe(true)
        expect(written.beyond.length).toBeLessThanOrEqual(65)
        if (xids.length <= 64) for (let xid = 0; xid <= 1001; xid++) expect(covers(written, xid)).toBe(xids.includes(xid))
      }),
    )
  })

  it.each(['', '~0', 'landings', 'landings~', 'landings~x', 'landings~0+5..3', 'landings~0+1~2'])('refuses "%s"', (token) => {
    expect(() => parsePushToken(token)).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }))
  })

  it('refuses more ranges than any push answers', () => {
    const ranges = (count: number) => `landings~0+${Array.from({ length: count }, (_, i) => 2 * i + 1000).join()}`
    expect(parsePushToken(ranges(65)).written.beyond.length).toBe(65)
    expect(() => parsePushToken(ranges(66))).toThrow(expect.objectContaining({ code: 'INVALID_REQUEST' }))
  })
})
