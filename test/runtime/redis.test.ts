import { once } from 'node:events'
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net'
import { describe, expect, it, vi } from 'vitest'
import { cutRedis, openRedis, watchRedis } from '../../runtime/redis/redis.ts'
import { testRedis } from '../services/index.ts'
import { freePort } from '../services/keeper.ts'

describe('the Redis client', () => {
  it('names a server at an IPv6 address as a URL does', () => {
    const redis = openRedis('redis://[::1]:1')
    expect(watchRedis(redis).server).toBe('[::1]:1')
    redis.disconnect()
  })

  it('answers, and recovers after its connection is cut', async () => {
    const { url, prefix } = await testRedis()
    const redis = openRedis(url)
    await redis.set(`${prefix}:a`, '1')
    redis.stream.destroy()
    await vi.waitFor(async () => expect(await redis.get(`${prefix}:a`)).toBe('1'), 60_000)
    await redis.quit()
  })

  it('fails a command within 5 s without a server or a reply, and only for its caller', async () => {
    const sockets: Socket[] = []
    const silent = createServer((socket) => void sockets.push(socket))
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const { port } = silent.address() as AddressInfo
    const from = performance.now()
    const clients = [openRedis('redis://127.0.0.1:1'), openRedis(`redis://127.0.0.1:${port}`)]
    await Promise.all(clients.map((redis) => expect(redis.get('a')).rejects.toThrow()))
    expect(performance.now() - from).toBeLessThan(30_000)
    for (const redis of clients) redis.disconnect()
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => silent.close(resolve))
  })

  it('leaves no timer behind if it is closed before it is connected', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const redis = openRedis('redis://127.0.0.1:1')
      const connecting = once(redis, 'connecting')
      const ended = once(redis, 'end')
      cutRedis(redis)
      await connecting
      expect(vi.getTimerCount()).toBe(1)
      await ended
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  it('ends at once if it is closed while it waits for its next attempt', async () => {
    const redis = openRedis('redis://127.0.0.1:1')
    await new Promise((resolve) => redis.once('reconnecting', resolve))
    const [waiting, ended] = [redis.get('a').catch(String), once(redis, 'end')]
    redis.disconnect()
    await ended
    expect(await waiting).toBe('Error: Connection is closed.')
  })

  it('works once a server appears', async () => {
    const { url } = await testRedis()
    const target = new URL(url)
    const port = await freePort()
    const redis = openRedis(`redis://127.0.0.1:${port}`)
    await expect(redis.ping()).rejects.toThrow()
    // a server that passes everything on to the Redis of the tests
    const proxy = createServer((socket) => {
      const upstream = createConnection(Number(target.port), target.hostname)
      socket.pipe(upstream).pipe(socket)
      for (const end of [socket, upstream]) end.on('error', () => undefined)
    })
    await new Promise<void>((resolve) => proxy.listen(port, '127.0.0.1', resolve))
    await vi.waitFor(async () => expect(await redis.ping()).toBe('PONG'), 60_000)
    await redis.quit()
    await new Promise((resolve) => proxy.close(resolve))
  })
})
