import type { AddressInfo, Socket } from 'node:net'
import { connect, createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import type { RedisReader } from '../../online/redis-reader.ts'
import { createRedisReader } from '../../online/redis-reader.ts'
import { singleRedis } from '../../online/redis-single.ts'
import type { OwnRedis } from '../services/own-redis.ts'
import { ownRedis } from '../services/own-redis.ts'
import { unlessSlow, unlessStalled } from '../unless-slow.ts'

let server: OwnRedis
let redis: Redis
let reader: RedisReader
/** Asks without being asked about. */
let admin: Redis
const keys = ['b', 'nothing', 'a', 'é']
const values = [Buffer.alloc(0), null, Buffer.of(0, 255, 13, 10), Buffer.from('of a long key')]

beforeAll(async () => {
  server = await ownRedis('redis-server')
  admin = new Redis(server.url)
  redis = new Redis(server.url, { commandTimeout: 20_000, maxRetriesPerRequest: 1 })
  redis.on('error', () => undefined)
  await redis.mset('a', Buffer.of(0, 255, 13, 10), 'b', '', 'é', 'of a long key')
  reader = createRedisReader(redis)
})
afterAll(async () => {
  await reader?.close()
  redis?.disconnect()
  admin?.disconnect()
  await server?.stop()
})

/** The ids of the connections whose last command was a read, but not by the client `redis`. */
async function readers(): Promise<string[]> {
  const own = await redis.client('ID')
  return String(await admin.client('LIST'))
    .split('\n')
    .filter((client) => client.includes(' cmd=mget ') && !client.startsWith(`id=${own} `))
    .map((client) => /^id=(\d+)/.exec(client)?.[1] ?? '')
}

async function untilTaken(): Promise<string> {
  for (;;) {
    expect(await reader.read(keys)).toEqual(values)
    const [id] = await readers()
    if (id !== undefined) return id
    await delay(10)
  }
}

test('it reads in order before and after its own connection opens', async () => {
  expect(await reader.read(keys)).toEqual(values)
  await untilTaken()
  const one = reader.read(['a', 'b'])
  const many = Array.from({ length: 200 }, (_, i) => reader.read([i % 2 === 0 ? 'a' : 'nothing']))
  expect(await one).toEqual([values[2], values[0]])
  expect(await Promise.all(many)).toEqual(Array.from({ length: 200 }, (_, i) => [i % 2 === 0 ? values[2] : null]))
  await expect(reader.read([])).rejects.toThrow('wrong number of arguments')
})

test('a value of many packets arrives complete', async () => {
  const large = Buffer.alloc(5_000_000, 'abc')
  await redis.set('large', large)
  await untilTaken()
  const [a, b, c] = (await reader.read(['large', 'a', 'large'])) as [Buffer, Buffer, Buffer]
  expect([a.equals(large), b, c.equals(large)]).toEqual([true, values[2], true])
})

test('a store reads thousands of large values by small commands', async () => {
  const value = Buffer.alloc(60_000, 'x')
  const names = Array.from({ length: 1_200 }, (_, i) => `many${i}`)
  for (let i = 0; i < names.length; i += 100) await redis.mset(...names.slice(i, i + 100).flatMap((name) => [name, value]))
  const commands = singleRedis(new Redis(server.url))
  const watching = new Redis(server.url)
  const monitor = await watching.monitor()
  const sizes: number[] = []
  monitor.on('monitor', (_time: string, [name, ...args]: string[]) => name?.toLowerCase() === 'mget' && sizes.push(args.length))
  const found = await commands.read(names, false)
  expect(found.every((each) => each?.equals(value))).toBe(true)
  await vi.waitFor(() => expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(names.length), 60_000)
  expect(Math.max(...sizes.slice(1))).toBeLessThanOrEqual((8 * 1024 * 1024) / value.length)
  monitor.disconnect()
  watching.disconnect()
  await commands.close()
  await redis.unlink(...names)
})

/**
 * A reader whose connections go through the test.
 *
 * @param commandTimeout of its client, milliseconds
 */
async function throughTest(commandTimeout = 20_000) {
  const to = { port: Number(new URL(server.url).port) }
  /** Those of the reader, by its greeting. */
  const own: { readonly client: Socket; readonly upstream: Socket; reads: boolean }[] = []
  const between = createServer((client) => {
    const upstream = connect(to.port, '127.0.0.1')
    client.pipe(upstream).pipe(client)
    for (const side of [client, upstream]) {
      side.on('error', () => undefined)
      side.on('close', () => client.destroy() && upstream.destroy())
    }
    const connection = { client, upstream, reads: false }
    client.on('data', (chunk: Buffer) => {
      const sent = chunk.toString('latin1')
      if (/ECHO\r\n\$36/.test(sent)) own.push(connection)
      if (/mget\r\n/i.test(sent)) connection.reads = true
    })
  })
  await new Promise<void>((resolve) => between.listen(0, '127.0.0.1', resolve))
  const client = new Redis((between.address() as AddressInfo).port, '127.0.0.1', { commandTimeout })
  client.on('error', () => undefined)
  const through = createRedisReader(client)
  onTestFinished(async () => {
    await through.close()
    client.disconnect()
    between.close()
  })
  const taken = async (times: number) => {
    for (;;) {
      const isAnswered = await through.read(keys).then(
        () => true,
        () => false,
      )
      const last = own.at(-1)
      // a read that took too long has ended its connection
      if (isAnswered && own.length >= times && last?.reads === true && !last.client.destroyed) return last
      await delay(20)
    }
  }
  /** The same values, however often a read takes too long on a slow machine. */
  const readsAgain = async () => {
    for (;;) {
      const read = await through.read(keys).catch((error: Error) => error.message)
      if (read !== 'Command timed out') return expect(read).toEqual(values)
    }
  }
  return { to, own, client, through, taken, readsAgain }
}

test("it fails after the client's timeout on a silent server, and reconnects", async () => {
  // the time of a read hardly passes while this process is held up
  await unlessStalled(50, async () => {
    const { own, through, taken, readsAgain } = await throughTest(400)
    await taken(1)
    process.kill(server.pid, 'SIGSTOP')
    const failures = Promise.allSettled([through.read(['a']), delay(200).then(() => through.read(['é']))])
    // each read fails by its own time
    const failed = await Promise.race([failures, delay(200 + 400 + 300)])
    process.kill(server.pid, 'SIGCONT')
    expect(failed).toMatchObject([{ reason: { message: 'Command timed out' } }, { reason: { message: 'Command timed out' } }])
    await taken(2)
    await readsAgain()
    expect(own.length).toBeGreaterThanOrEqual(2)
  })
})

test('the client repeats reads of a lost connection, and a new connection replaces it', async () => {
  const { own, through, taken } = await throughTest()
  const { client, upstream } = await taken(1)
  upstream.unpipe(client)
  const reads = Array.from({ length: 20 }, () => through.read(keys))
  client.destroy()
  expect(await Promise.all(reads)).toEqual(Array.from({ length: 20 }, () => values))
  await taken(2)
  expect(await through.read(keys)).toEqual(values)
  expect(own).toHaveLength(2)
})

test('it repeats a read on the client if a reply is not that of its command', async () => {
  const { through, taken } = await throughTest()
  for (const times of [1, 2]) {
    const { client } = await taken(times)
    const read = through.read(keys)
    client.write('*1\r\n$5\r\nwrong\r\n')
    expect(await read).toEqual(values)
  }
})

test('it drops a connection that delivers nothing any more', async () => {
  const { own, through, taken, readsAgain } = await throughTest(500)
  const { client, upstream } = await taken(1)
  upstream.unpipe(client)
  await expect(through.read(keys)).rejects.toThrow('Command timed out')
  await readsAgain()
  await taken(2)
  expect(own.length).toBeGreaterThanOrEqual(2)
  await readsAgain()
})

test('it reads an answer that has arrived while the process was stalled for longer than the timeout', async () => {
  // the server may be held up as well
  await unlessSlow(1_900, async () => {
    const { own, through, taken } = await throughTest(500)
    await taken(1)
    const read = through.read(keys)
    // the server answers, and no timer runs
    own.length = 0
    stall(1_500)
    expect(await read).toEqual(values)
    expect(await through.read(keys)).toEqual(values)
    expect(own).toEqual([])
  })
})

test('a read whose connection is lost after its deadline is not repeated', async () => {
  const { through, taken } = await throughTest(500)
  const { client, upstream } = await taken(1)
  upstream.unpipe(client)
  const read = through.read(keys)
  const settled = Promise.allSettled([read])
  // nothing else comes to its turn meanwhile, neither its timer
  client.destroy()
  const until = performance.now() + 600
  while (performance.now() < until);
  expect(await settled).toMatchObject([{ reason: { message: 'Command timed out' } }])
})

test('a read whose connection is lost late is repeated in the remaining time', async () => {
  await unlessStalled(20, async () => {
    const { through, taken } = await throughTest(500)
    const { client, upstream } = await taken(1)
    upstream.unpipe(client)
    const read = through.read(keys).catch((error: Error) => error.message)
    await delay(400)
    process.kill(server.pid, 'SIGSTOP')
    client.destroy()
    // with its whole time again, the read would last for 500 ms more
    const first = await Promise.race([read, delay(450).then(() => 'it was given more time')])
    process.kill(server.pid, 'SIGCONT')
    expect(first).toBe('Command timed out')
  })
})

test('it never reads from another server than the client', async () => {
  const other = await ownRedis('redis-server')
  onTestFinished(() => other.stop())
  const elsewhere = new Redis(other.url)
  onTestFinished(() => elsewhere.disconnect())
  await elsewhere.set('b', 'of another server')
  const { to, client, through, taken } = await throughTest()
  const { client: ofReader } = await taken(1)
  // the reader alone is sent elsewhere: the client reads for it
  const first = to.port
  to.port = Number(new URL(other.url).port)
  ofReader.destroy()
  for (let i = 0; i < 20; i++) {
    expect(await through.read(keys)).toEqual(values)
    await delay(10)
  }
  // then the client is too, and the reader goes with it
  await admin.client('KILL', 'ID', await client.client('ID'))
  await taken(2)
  expect(await through.read(['b'])).toEqual([Buffer.from('of another server')])
  to.port = first
  await elsewhere.client('KILL', 'ID', await client.client('ID'))
  await taken(3)
  expect(await through.read(keys)).toEqual(values)
})

test('it fails with the error of the server', async () => {
  await untilTaken()
  await admin.acl('SETUSER', 'default', '-mget')
  await expect(reader.read(['a'])).rejects.toMatchObject({ name: 'ReplyError', message: expect.stringContaining('NOPERM') })
  await admin.acl('SETUSER', 'default', '+mget')
  expect(await reader.read(['a'])).toEqual([values[2]])
})

test('its connection ends with it, and with the client', async () => {
  await untilTaken()
  // what is under way is answered
  const underWay = Array.from({ length: 20 }, () => reader.read(keys))
  await reader.close()
  expect(await Promise.all(underWay)).toEqual(Array.from({ length: 20 }, () => values))
  for (let tries = 0; (await readers()).length > 0; tries++) {
    expect(tries).toBeLessThan(6_000)
    await delay(10)
  }
  // the client still reads
  expect(await reader.read(keys)).toEqual(values)
  const other = redis.duplicate()
  const ofOther = createRedisReader(other)
  // the last command of the client is another one then
  while ((await readers()).length === 0) await ofOther.read(keys).then(() => other.client('ID'))
  other.disconnect()
  for (let tries = 0; (await readers()).length > 0; tries++) {
    expect(tries).toBeLessThan(6_000)
    await delay(10)
  }
  await expect(ofOther.read(keys)).rejects.toThrow('Connection is closed')
})

function stall(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
