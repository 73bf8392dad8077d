import { expect, it } from 'vitest'
import { loadReplyNotice, loadRequestNotice, parseLoadReply, parseLoadRequest } from '../../registry/models/load-request.ts'

it('requests to servers and their replies round-trip, and others are refused', () => {
  const request = { model: 'delay_2', version: 12, revision: 345, replyTo: 'lockstep_loads_0af' }
  expect(parseLoadRequest(loadRequestNotice(request))).toEqual(request)
  for (const notice of ['', '17', 'erased', 'load', 'load a b c d', `${loadRequestNotice(request)} more`, 'load a 1 2 "x"; drop'])
    expect(parseLoadRequest(notice)).toBeNull()
  const reply = { server: 'one', state: 'refused', message: 'It is\nno model.' } as const
  expect(parseLoadReply(loadReplyNotice(reply))).toEqual(reply)
  for (const notice of ['', 'one', 'one loaded', 'one gone away', ' loaded ']) expect(parseLoadReply(notice)).toBeNull()
  // a long message is cut between characters
  const long = `${'m'.repeat(998)}🛬${'m'.repeat(100)}`
  expect(parseLoadReply(loadReplyNotice({ ...reply, message: long }))?.message).toBe(`${'m'.repeat(998)}…`)
  // PostgreSQL takes less than 8,000 bytes
  expect(Buffer.byteLength(loadReplyNotice({ ...reply, message: '漢'.repeat(10_000) }))).toBeLessThan(8000)
})
