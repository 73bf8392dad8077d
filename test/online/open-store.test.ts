import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openOnlineStore } from '../../online/open-store.ts'
import { testRedis } from '../services/index.ts'
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
  expect(performance.now() - began).toBeLessThan(5_000)
  await store.close()
})
