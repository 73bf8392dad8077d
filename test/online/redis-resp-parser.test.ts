import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Reply } from '../../online/redis-resp-parser.ts'
import { ReplyParser } from '../../online/redis-resp-parser.ts'
import { budget } from '../budget.ts'

const bulk = fc.option(fc.uint8Array({ maxLength: 40 }), { nil: null })
const line = fc.stringMatching(/^[\x20-\x7e]{0,20}$/)
const reply = fc.oneof(
  fc.record({ array: fc.array(bulk, { maxLength: 12 }) }),
  fc.record({ bulk }),
  fc.record({ error: line }),
  fc.record({ simple: line }),
  fc.record({ integer: fc.integer() }),
)
type Made = { array?: (Uint8Array | null)[]; bulk?: Uint8Array | null; error?: string; simple?: string; integer?: number }

function bulkBytes(value: Uint8Array | null): Buffer {
  return value === null ? Buffer.from('$-1\r\n') : Buffer.concat([Buffer.from(`$${value.length}\r\n`), value, Buffer.from('\r\n')])
}

function bytesOf({ array, bulk: one, error, simple, integer }: Made): Buffer {
  if (array !== undefined) return Buffer.concat([Buffer.from(`*${array.length}\r\n`), ...array.map(bulkBytes)])
  if (one !== undefined) return bulkBytes(one)
  return Buffer.from(error !== undefined ? `-${error}\r\n` : simple !== undefined ? `+${simple}\r\n` : `:${integer}\r\n`)
}

function expected({ array, bulk: one, error, simple, integer }: Made): Reply {
  if (array !== undefined) return array.map((value) => (value === null ? null : Buffer.from(value)))
  if (one !== undefined) return one === null ? null : Buffer.from(one)
  return error !== undefined ? new Error(error) : Buffer.from(simple ?? String(integer))
}

test('replies are read as they were sent, wherever they are cut', () => {
  fc.assert(
    fc.property(fc.array(reply, { minLength: 1, maxLength: 8 }), fc.infiniteStream(fc.integer({ min: 1, max: 25 })), (made, sizes) => {
      const read: Reply[] = []
      const parser = new ReplyParser((each) => read.push(each))
      const bytes = Buffer.concat(made.map(bytesOf))
      for (let at = 0; at < bytes.length;) {
        const size = sizes.next().value as number
        parser.write(Buffer.from(bytes.subarray(at, at + size)))
        at += size
      }
      expect(read).toEqual(made.map(expected))
    }),
    { numRuns: budget(500) },
  )
})

test('a text of many chunks is joined once it is complete', () => {
  const read: Reply[] = []
  const parser = new ReplyParser((each) => read.push(each))
  const text = Buffer.alloc(3_000_000, 'abcdefg')
  const bytes = Buffer.concat([Buffer.from(`*2\r\n$${text.length}\r\n`), text, Buffer.from('\r\n$1\r\nx\r\n+next\r\n')])
  for (let at = 0; at < bytes.length; at += 1000) parser.write(bytes.subarray(at, at + 1000))
  expect(read).toEqual([[text, Buffer.from('x')], Buffer.from('next')])
})

test('an unexpected reply is refused', () => {
  for (const text of ['HTTP/1.1 400 Bad Request\r\n', '*2\r\n:1\r\n:2\r\n', '*x\r\n', '%1\r\n'])
    expect(() => new ReplyParser(() => undefined).write(Buffer.from(text))).toThrow('Unknown RESP type')
})
