import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, onTestFinished, test } from 'vitest'
import { serializePipelined } from '../../serving/protocols/http/request/serialize-pipelined.ts'
import { IncomingRequest } from '../../serving/protocols/http/request/incoming-request.ts'

const megabyte = Buffer.from(Array.from({ length: 1 << 20 }, (_, i) => i % 251))

/** A server by this handler, and a connection to it. */
async function connected(handle: RequestListener<typeof IncomingRequest>) {
  const server = createServer({ IncomingMessage: IncomingRequest }, handle)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  onTestFinished(() => {
    socket.destroy()
    server.closeAllConnections()
    server.close()
  })
  return socket
}

function head(length: number): string {
  return `POST / HTTP/1.1\r\nhost: x\r\ncontent-length: ${length}\r\n\r\n`
}

/** The bytes of the answer, once they end so. */
async function until(socket: Socket, end: string): Promise<string> {
  let text = ''
  return await new Promise((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (text.endsWith(end)) resolve(text)
    })
  })
}

test('a long body that is read late arrives in order, and unread parts stay unsent', async () => {
  let body: Buffer | null = null
  const sent: number[] = []
  const socket = await connected((incoming, outgoing) => {
    void (async () => {
      await delay(100)
      sent.push(incoming.socket.bytesRead)
      body = Buffer.concat(await incoming.body(1 << 21))
      outgoing.end('done')
    })()
  })
  const answer = until(socket, 'done')
  for (let round = 0; round < 2; round++) {
    socket.write(head(megabyte.length))
    socket.write(megabyte)
    if (round === 0) await answer
    else await until(socket, 'done')
    expect(body).toEqual(megabyte)
    body = null
  }
  expect(sent[0]).toBeLessThan(megabyte.length / 2)
})

test('a body is refused as it passes the limit, and the connection stays usable', async () => {
  const refused: unknown[] = []
  const socket = await connected((incoming, outgoing) => {
    void (async () => {
      if (incoming.url === '/late') await delay(50)
      const size = await incoming.body(1000).then(
        (chunks) => Buffer.concat(chunks).length,
        (error: unknown) => refused.push((error as { code: string }).code),
      )
      incoming.dropRest(() => outgoing.end(`${incoming.url} ${size};`))
    })()
  })
  const answer = until(socket, '/small 3;')
  socket.write(head(megabyte.length).replace('/', '/now'))
  socket.write(megabyte)
  await delay(20)
  socket.write(head(megabyte.length).replace('/', '/late'))
  socket.write(megabyte)
  socket.write(`${head(3).replace('/', '/small')}abc`)
  const text = await answer
  expect(refused).toEqual(['BODY_TOO_LARGE', 'BODY_TOO_LARGE'])
  expect(text.match(/\/\w+ \d+;/g)).toEqual(['/now 1;', '/late 2;', '/small 3;'])
})

test('readers of a body are notified that its connection ended, even if they ask later', async () => {
  const told: unknown[] = []
  const note = (error: unknown) => void told.push((error as { code: string }).code)
  const { promise: all, resolve } = Promise.withResolvers<void>()
  const { promise: reading, resolve: begun } = Promise.withResolvers<void>()
  const socket = await connected((incoming) => {
    void (async () => {
      begun()
      await incoming.body(1000).catch(note)
      await incoming.body(1000).catch(note)
      incoming.dropRest(() => told.push('ended'))
      resolve()
    })()
  })
  socket.write(`${head(10)}abc`)
  await reading
  await delay(30)
  socket.destroy()
  await all
  expect(told).toEqual(['REQUEST_ABORTED', 'REQUEST_ABORTED', 'ended'])
})

test('readers of a body whose rest is dropped do not get a part of it', async () => {
  const told: unknown[] = []
  const socket = await connected((incoming, outgoing) => {
    const note = (error: unknown) => void told.push((error as { code: string }).code)
    void (async () => {
      const waiting = incoming.body(1000).catch(note)
      incoming.dropRest(() => outgoing.end('done'))
      await waiting
      await incoming.body(1000).catch(note)
    })()
  })
  const answer = until(socket, 'done')
  socket.write(`${head(20)}0123456789`)
  await delay(30)
  socket.write('0123456789')
  await answer
  expect(told).toEqual(['REQUEST_ABORTED', 'REQUEST_ABORTED'])
})

test('a reused connection retains no answered request, complete or not', async () => {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  const made: WeakRef<IncomingRequest>[] = []
  const socket = await connected((incoming, outgoing) => {
    made.push(new WeakRef(incoming))
    outgoing.end('done')
    if (incoming.url !== '/unread') incoming.dropRest(() => undefined)
  })
  for (const path of ['/unread', '/dropped']) {
    socket.write(head(70_000).replace('/', path))
    socket.write(Buffer.alloc(60_000))
    await until(socket, 'done')
    socket.write(Buffer.alloc(10_000))
  }
  const collected = () => {
    gc()
    return made.map((each) => each.deref() === undefined)
  }
  await expect.poll(collected).toEqual([true, true])
})

test('pipelined requests are answered in order, and not read while answers wait', async () => {
  const count = 10_000
  const [seen, bodies]: [number[], string[]] = [[], []]
  let [underWay, most, bytesRead] = [0, 0, 0]
  const socket = await connected(
    serializePipelined((incoming, outgoing) => {
      void (async () => {
        most = Math.max(most, ++underWay)
        bytesRead = incoming.socket.bytesRead
        const body = Buffer.concat(await incoming.body(100)).toString()
        seen.push(seen.length)
        bodies.push(body)
        outgoing.end(`${incoming.url} `.padEnd(2000, body))
        underWay--
      })()
    }),
  )
  const last = (i: number) => (i === count - 1 ? 'connection: close\r\n' : '')
  const requests = Array.from({ length: count }, (_, i) => `POST /${i} HTTP/1.1\r\nhost: x\r\n${last(i)}content-length: 3\r\n\r\nabc`)
  socket.pause()
  socket.write(requests.join(''))
  // until the answers fill what the connection holds
  let before = -1
  while (before !== seen.length) {
    before = seen.length
    await delay(100)
  }
  expect(seen.length).toBeLessThan(count)
  // no more than what Node reads at a time is ahead of what was answered
  expect(bytesRead).toBeLessThan((seen.length * requests.join('').length) / count + 4 * 65_536)
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  await new Promise((resolve) => socket.resume().once('end', resolve))
  const paths =
    Buffer.concat(chunks)
      .toString()
      .match(/\/\d+ /g) ?? []
  expect(paths.map((path) => Number(path.slice(1)))).toEqual(Array.from({ length: count }, (_, i) => i))
  expect([most, new Set(bodies)]).toEqual([1, new Set(['abc'])])
})

test('pipelined requests are answered if they are few, however many others send', async () => {
  const [first, floods]: [string[], Socket[]] = [[], []]
  const flood = await connected(
    serializePipelined((incoming, outgoing) => {
      first.push(incoming.url ?? '')
      if (incoming.url !== '/') outgoing.end(incoming.url)
    }),
  )
  await once(flood, 'connect')
  const others = Array.from({ length: 9 }, () => connect(flood.remotePort ?? 0, '127.0.0.1'))
  floods.push(flood, ...others)
  onTestFinished(() => floods.forEach((each) => each.destroy()))
  const closed = new Promise((resolve) => floods.forEach((each) => each.on('error', () => undefined).once('close', resolve)))
  for (const each of floods) each.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(2000))
  // some are cut, as too many wait
  await closed
  const few = connect(flood.remotePort ?? 0, '127.0.0.1')
  floods.push(few)
  const answers = until(few, 'last')
  few.write(`${'GET /few HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(12)}GET /last HTTP/1.1\r\nhost: x\r\n\r\n`)
  await answers
  expect(first.filter((path) => path === '/few')).toHaveLength(12)
})

test('pipelined requests of an ended connection are not answered, and free their slots', async () => {
  let answered = 0
  const ports: number[] = []
  const handle = serializePipelined((incoming, outgoing) => {
    ports.push((incoming.socket.address() as AddressInfo).port)
    answered++
    if (incoming.url === '/last') outgoing.end('done')
  })
  const flood = await connected(handle)
  flood.write('GET /first HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(1000))
  while (answered === 0) await delay(5)
  const closed = new Promise((resolve) => flood.once('close', resolve))
  flood.destroy()
  await closed
  const other = connect(ports[0] ?? 0, '127.0.0.1')
  const answer = until(other, 'done')
  other.write('GET /last HTTP/1.1\r\nhost: x\r\n\r\n')
  await answer
  expect(answered).toBe(2)
  other.destroy()
})
