import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readHeader } from '../../kernel/states/stored-state.ts'
import type { DefinitionId } from '../../kernel/specs/view-spec.ts'
import { checkpointKey } from '../../online/checkpoint.ts'
import { readOnline } from '../../online/read.ts'
import { redisError } from '../../online/redis-error.ts'
import { redisKey } from '../../online/redis-key.ts'
import { createRedisStore } from '../../online/redis-store.ts'
import type { OnlineKey, OnlineStore } from '../../online/store.ts'
import { findIncompleteViews } from '../../online/completeness.ts'
import { paymentsPlan } from '../materializer/plans.ts'
import { testRedis } from '../services/index.ts'
import type { OwnRedis } from '../services/own-redis.ts'
import { ownRedis } from '../services/own-redis.ts'
import { stored } from './stored-bytes.ts'
import { storeContract } from './store-contract.ts'

storeContract('Redis', async () => {
  const { url, prefix } = await testRedis()
  const admin = new Redis(url)
  // The Redis is shared: only what lies under the prefix goes.
  const empty = async () => {
    const keys = await admin.keysBuffer(`${prefix}:*`)
    if (keys.length > 0) await admin.del(...keys)
  }
  return {
    open: async () => createRedisStore({ redis: new Redis(url), prefix }),
    empty,
    address: ['redis', url, prefix],
    dispose: async () => {
      await empty()
      await admin.quit()
    },
  }
})

describe('the Redis store, beyond the contract', () => {
  const key: OnlineKey = { view: 'odd@1', entity: 'thing', key: 'k' }
  const commandsOf = async (reading: () => Promise<unknown>): Promise<number> => {
    const processed = async () => Number(/total_commands_processed:(\d+)/.exec(await admin.info('stats'))?.[1])
    const before = await processed()
    await reading()
    return (await processed()) - before
  }
  // Characters that mean something in a pattern are only themselves in a prefix.
  const prefix = 'p[a]*?\\'
  let server: OwnRedis
  let admin: Redis
  let store: OnlineStore
  beforeAll(async () => {
    // its commands are counted
    server = await ownRedis('redis-server')
    admin = new Redis(server.url)
    store = createRedisStore({ redis: new Redis(server.url), prefix })
  })
  afterAll(async () => {
    await store?.close()
    await admin?.quit()
    await server?.stop()
  })

  it('tags keys by the entity, so that its views share a slot, and keeps them short', () => {
    const keyOf = (view: DefinitionId, entity: string, of: string) => redisKey('p', { view, entity, key: of })
    expect(keyOf('a@1', 'airport', 'ATL\0')).toMatch(/^p:\{ATL\0\}[\w-]{6}$/)
    expect(keyOf('a@2', 'airport', 'ATL\0')).not.toBe(keyOf('a@1', 'airport', 'ATL\0'))
    expect(keyOf('a@1', '~', '')).toMatch(/^p:\{\}~[\w-]{6}$/)
  })

  it('removes a view under a prefix of pattern characters, and no prefix that matches', async () => {
    const alike = createRedisStore({ redis: admin.duplicate(), prefix: prefix.replace('[a]*?\\', 'abc\\') })
    for (const each of [store, alike]) await each.write([{ ...key, expected: null, bytes: stored(1, '') }])
    expect(await store.removeView('odd@1')).toBe(1)
    expect(await alike.removeView('odd@1')).toBe(1)
    await alike.close()
  })

  it('neither overwrites nor reads as state what another program wrote under its key', async () => {
    for (const foreign of ['', 'short', 'something of another program altogether']) {
      await admin.set(redisKey(prefix, key), foreign)
      expect(await store.write([{ ...key, expected: null, bytes: stored(1, '') }])).toEqual([false])
      const [bytes] = await store.read([key])
      expect(() => readHeader(bytes ?? Buffer.alloc(0), 'odd@1')).toThrow(/another program/)
    }
  })

  it('reports a key of another type', async () => {
    await admin.del(redisKey(prefix, key))
    await admin.rpush(redisKey(prefix, key), 'a list')
    await expect(store.write([{ ...key, expected: null, bytes: stored(1, '') }])).rejects.toMatchObject({
      code: 'STATE_CORRUPT',
      message: expect.stringContaining('LOCKSTEP_REDIS_PREFIX'),
    })
    // an MGET takes it for absent
    expect(await store.read([key])).toEqual([null])
    await expect(store.read([{ ...key, key: 'absent' }, key], { sure: true })).rejects.toMatchObject({
      code: 'STATE_CORRUPT',
      message: expect.stringContaining(`The key "${redisKey(prefix, key)}"`),
    })
    // of the key of a text, which ends with a zero byte, the script's answer tells what stands before that
    const text = { ...key, key: 'text\0' }
    await admin.rpush(redisKey(prefix, text), 'a list')
    await expect(store.write([{ ...text, expected: null, bytes: stored(1, '') }])).rejects.toMatchObject({
      message: expect.stringContaining(`The key "${prefix}:{text" of the online store`),
    })
    await admin.del(redisKey(prefix, text))
  })

  it('reads many absent keys again by few commands, and by one for each key only if one is of another type', async () => {
    const count = 2_500
    const keys = Array.from({ length: count }, (_, i) => ({ ...key, key: `lacked ${i}` }))
    const [first] = keys as [typeof key]
    expect(
      await commandsOf(async () => {
        expect(await store.read(keys, { sure: true })).toEqual(keys.map(() => null))
      }),
    ).toBeLessThan(100)
    await store.write([{ ...first, expected: null, bytes: stored(1, 'x') }])
    expect(await store.read([...keys, first], { sure: true })).toEqual([
      stored(1, 'x'),
      ...Array<null>(count - 1).fill(null),
      stored(1, 'x'),
    ])
    await admin.del(redisKey(prefix, first))
    await admin.rpush(redisKey(prefix, first), 'a list')
    const refused = commandsOf(() => expect(store.read(keys, { sure: true })).rejects.toMatchObject({ code: 'STATE_CORRUPT' }))
    expect(await refused).toBeGreaterThan(500)
    await admin.del(redisKey(prefix, first))
  })

  it('reports it for a checkpoint too, not that its view is unmaterialized', async () => {
    const plan = paymentsPlan({ relation: { kind: 'table', table: 'payments' } })
    const checkpoint = redisKey(prefix, checkpointKey(plan.id))
    expect(await findIncompleteViews(store, [plan])).toMatchObject([{ code: 'NOT_READY' }])
    await admin.hset(checkpoint, 'a', 'hash')
    const problem = expect.stringContaining(`The key "${checkpoint}"`)
    expect(await findIncompleteViews(store, [plan])).toEqual([{ view: plan.id, code: 'STATE_CORRUPT', problem }])
    const others = Array.from({ length: 50 }, (_, i) => ({ ...plan, id: `other_${i}@1` as const }))
    const found = await findIncompleteViews(store, [...others, plan])
    expect(found.map(({ code }) => code)).toEqual([...others.map(() => 'NOT_READY'), 'STATE_CORRUPT'])
    expect(await commandsOf(() => findIncompleteViews(store, others))).toBeLessThan(20)
    await expect(readOnline(store, [{ plan, key: 'absent' }], 1)).rejects.toMatchObject({ code: 'STATE_CORRUPT', message: problem })
    await admin.del(checkpoint)
  })

  it('reports an unreachable server with REDIS_UNAVAILABLE on every path, and closes', async () => {
    // Port 1 is closed everywhere; one attempt, no waiting.
    const redis = new Redis('redis://127.0.0.1:1', { lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0 })
    redis.on('error', () => {})
    const lost = createRedisStore({ redis, prefix })
    const unavailable = { code: 'REDIS_UNAVAILABLE' }
    await expect(lost.ping()).rejects.toMatchObject(unavailable)
    await expect(lost.read([key])).rejects.toMatchObject(unavailable)
    await expect(lost.write([{ ...key, expected: null, bytes: stored(1, '') }])).rejects.toMatchObject(unavailable)
    await expect(lost.identity()).rejects.toMatchObject(unavailable)
    await expect(lost.removeView('odd@1')).rejects.toMatchObject(unavailable)
    await lost.close()
  })

  it('distinguishes an error reply from no reply, with separate remedies', async () => {
    const answers = {
      "OOM command not allowed when used memory > 'maxmemory'.": 'raise its maxmemory',
      'NOAUTH Authentication required.': 'LOCKSTEP_REDIS_URL',
      "READONLY You can't write against a read only replica.": 'set LOCKSTEP_REDIS_URL to the primary',
      "ERR unknown command 'X'": 'Redis 7.2 or newer',
    }
    const place = { server: 'redis.example:6379', kind: 'single', tls: false, answerMs: 3_000 } as const
    const connection = { ...place, trouble: () => null, worked: () => false }
    for (const [answer, remedy] of Object.entries(answers)) {
      const error: unknown = await admin
        .eval('return redis.error_reply(ARGV[1])', 0, answer)
        .catch((cause: unknown) => redisError(cause, connection))
      expect(error).toMatchObject({ code: 'REDIS_UNAVAILABLE', message: expect.stringContaining(remedy) })
      const { message } = error as Error
      expect(message).toMatch(new RegExp(`^Redis at "redis.example:6379" refused a command: ${answer.split(' ')[0]} .*[^.]\\. [A-Z]`))
    }
    const demoted: unknown = await admin.eval('return redis.error_reply("READONLY now")', 0).catch((cause: unknown) => cause)
    expect(redisError(demoted, { ...connection, kind: 'sentinel' }).message).toContain('as soon as the Sentinels name it')
    expect(redisError(new Error('Connection is closed.'), connection).message).toBe(
      'Redis at "redis.example:6379" cannot be used: Connection is closed. Check LOCKSTEP_REDIS_URL and that the server runs.',
    )
  })

  it('reads for a read-only user, and reports what that user may not do', async () => {
    const user = `reader${process.pid}`
    await admin.call('ACL', 'SETUSER', user, 'on', '>secret', '~*', '+@read', '+@connection', '+info')
    const identity = await store.identity()
    const { host, port } = admin.options
    const reading = createRedisStore({
      redis: new Redis({ host: host ?? '', port: port ?? 0, username: user, password: 'secret' }),
      prefix,
    })
    expect(await reading.identity()).toBe(identity)
    await expect(reading.write([{ ...key, expected: null, bytes: stored(1, '') }])).rejects.toMatchObject({
      code: 'REDIS_UNAVAILABLE',
      message: expect.stringMatching(/NOPERM .*\. Give the user/),
    })
    await reading.close()
    await admin.call('ACL', 'DELUSER', user)
  })
})
