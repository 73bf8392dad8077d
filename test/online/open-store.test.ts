import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { findingsOf } from '../../cli/doctor/check.ts'
import { checkRedis } from '../../cli/doctor/store-checks.ts'
import { openOnlineStore } from '../../online/open-store.ts'
import { openRedis } from '../../runtime/redis/redis.ts'
import { createRedisRateLimits } from '../../runtime/redis/redis-rate-limits.ts'
import { testRedis } from '../services/index.ts'
import { asking, ownRedis } from '../services/own-redis.ts'
import { stored } from './stored-bytes.ts'

const key = { view: 'opened@1', entity: 'thing', key: 'k' } as const

it('opens Redis under its prefix if a URL is configured', async () => {
  const { url, prefix } = await testRedis()
  const config = { redisUrl: url, redisPrefix: prefix, directory: '/nowhere' }
  const [store, again, elsewhere] = [
    await openOnlineStore(config),
    await openOnlineStore(config),
    await openOnlineStore({ ...config, redisPrefix: `${prefix}other` }),
  ]
  await store.write([{ ...key, expected: null, bytes: stored(1, 'x') }])
  expect(store.kind).toBe('redis')
  expect(await again.read([key])).toEqual([stored(1, 'x')])
  expect(await elsewhere.read([key])).toEqual([null])
  expect(await elsewhere.identity()).not.toBe(await store.identity())
  for (const each of [store, again, elsewhere]) await each.close()
})

it('opens a database of a Redis at a Unix socket, with a password', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lockstep socket-'))
  const path = join(folder, 'redis.sock')
  const server = await ownRedis('redis-server', { args: ['--unixsocket', path] })
  const url = `unix://:p%40ss@${path.replaceAll(' ', '%20')}?db=2`
  try {
    await asking(server.port, (redis) => redis.config('SET', 'requirepass', 'p@ss'))
    expect(await findingsOf('online store', () => checkRedis(url))).toContainEqual(
      expect.objectContaining({ verdict: 'ok', text: expect.stringContaining(` at ${path} answers.`) as string }),
    )
    const store = await openOnlineStore({ redisUrl: url, redisPrefix: 'p', directory: '/nowhere' })
    expect(await store.write([{ ...key, expected: null, bytes: stored(1, 'x') }])).toEqual([true])
    expect(await store.read([key])).toEqual([stored(1, 'x')])
    expect(await store.memory?.()).toMatchObject([{ server: path }])
    const limits = createRedisRateLimits(url, 'p')
    // it is given up after 100 ms, in which a slow machine may not even connect
    const take = async () => await limits.take({ owner: 'a', name: 'requests' }, { perSecond: 2, wanted: 1, least: 1 }).catch(String)
    await expect.poll(take, { timeout: 60_000 }).toMatchObject({ granted: 1 })
    limits.close()
    const admin = openRedis(url)
    const used = await admin.info('keyspace')
    admin.disconnect()
    expect(used).toMatch(/^db2:/m)
    expect(used).not.toMatch(/^db0:/m)
    await server.stop()
    await expect.poll(() => store.ping().then(() => 'answers', String), { timeout: 60_000 }).toContain(`Redis at "${path}" cannot be used`)
    await store.close()
  } finally {
    await server.stop()
    await rm(folder, { recursive: true })
  }
})

it('opens the embedded store under the folder otherwise', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'lockstep-open-'))
  const store = await openOnlineStore({ redisUrl: null, redisPrefix: 'unused', directory })
  expect(store.kind).toBe('embedded')
  expect((await stat(join(directory, 'online'))).isDirectory()).toBe(true)
  await store.close()
  await rm(directory, { recursive: true })
})

it('opens a Redis that is down, and reports it within 5 s on use', async () => {
  // Port 1 is closed everywhere.
  const store = await openOnlineStore({ redisUrl: 'redis://127.0.0.1:1', redisPrefix: 'p', directory: '/nowhere' })
  const began = performance.now()
  await expect(store.ping()).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE', message: expect.stringContaining('LOCKSTEP_REDIS_URL') })
  await expect(store.read([key])).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
  expect(performance.now() - began).toBeLessThan(30_000)
  await store.close()
})
