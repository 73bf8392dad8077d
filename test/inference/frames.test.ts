import type { Socket } from 'node:net'
import { connect, createServer } from 'node:net'
import { serialize } from 'node:v8'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readFrames, writeBytes, writeValue } from '../../inference/frames.ts'

const server = createServer()
beforeAll(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)))
afterAll(() => new Promise((resolve) => server.close(resolve)))

/** Two ends of one connection. */
async function pair(): Promise<[Socket, Socket]> {
  const { port } = server.address() as { port: number }
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve))
  const client = connect(port, '127.0.0.1')
  return [client, await accepted]
}

/** The values that one end reads of what the other writes, until there are `last` or a frame is refused. */
async function read(write: (socket: Socket) => unknown, last: number): Promise<{ values: unknown[]; bytes: number; invalid: number }> {
  const [from, to] = await pair()
  const got = { values: [] as unknown[], bytes: 0, invalid: 0 }
  const done = new Promise<void>((resolve) => {
    readFrames(to, {
      onValue: (value) => void (got.values.push(value) === last && resolve()),
      onBytes: (piece) => void (got.bytes += piece.length),
      onInvalid: () => void (got.invalid++, resolve()),
    })
  })
  await write(from)
  await done
  from.destroy()
  to.destroy()
  return got
}

const header = (length: number, kind: number): Buffer => {
  const bytes = Buffer.alloc(5)
  bytes.writeUInt32LE(length, 0)
  bytes[4] = kind
  return bytes
}

describe('frames', () => {
  it('carry values and bytes in order, even if a segment ends inside a header', async () => {
    const value = { id: 1, data: new Float32Array([1, Number.NaN]), big: 2n ** 60n }
    const written = async (socket: Socket) => {
      writeValue(socket, value)
      await writeBytes(socket, new Uint8Array(300_000))
      const frame = Buffer.concat([header(serialize('last').length, 0), serialize('last')])
      socket.setNoDelay(true)
      for (const byte of frame) {
        await new Promise<void>((resolve) => socket.write(Buffer.from([byte]), () => resolve()))
      }
    }
    expect(await read(written, 2)).toEqual({ values: [value, 'last'], bytes: 300_000, invalid: 0 })
  })

  it.each([
    ['bytes that are no value', Buffer.concat([header(3, 0), Buffer.from([1, 2, 3])])],
    ['a value that ends early', Buffer.concat([header(4, 0), serialize({ a: 'long enough' }).subarray(0, 4)])],
    ['a length of 4 GB', header(0xffff_ffff, 1)],
  ])('are refused for %s, and later bytes are not read', async (_, bad) => {
    const written = (socket: Socket) => {
      writeValue(socket, 'first')
      socket.write(bad)
      writeValue(socket, 'after')
    }
    expect(await read(written, 2)).toEqual({ values: ['first'], bytes: 0, invalid: 1 })
  })
})
