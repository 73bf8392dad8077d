import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { RedisRateLimits } from '../../../runtime/redis/redis-rate-limits.ts'
import { createRedisRateLimits } from '../../../runtime/redis/redis-rate-limits.ts'
import { createLogger } from '../../../runtime/log.ts'
import { takeUnits } from '../../../serving/traffic/gcra.ts'
import type { LimitFallback, LimitKey } from '../../../serving/traffic/rate-limiter.ts'
import { createRateLimiter, limitHeaders } from '../../../serving/traffic/rate-limiter.ts'
import { testRedis } from '../../services/index.ts'
import { unlessSlow } from '../../unless-slow.ts'

const log = createLogger('silent')
/** After 100 ms without an answer of Redis a process counts on its own. */
const answeredMs = 90
const key = (owner: string, perSecond: number): LimitKey => ({ owner, scope: 'read', unit: 'requests', perSecond })

function limiter(shared: RedisRateLimits | null, fallback: LimitFallback = 'local', now = () => performance.now()) {
  return createRateLimiter({ shared, fallback, log, now })
}

describe('the cell rate', () => {
  it("never grants more than one second's worth plus the refill, and grants all of it", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.array(fc.record({ after: fc.integer({ min: 0, max: 400 }), wanted: fc.integer({ min: 1, max: 80 }) }), { maxLength: 60 }),
        (perSecond, calls) => {
          const bucket = { perSecond, fullAt: 0 }
          // in thousandths of a unit: what is there; below 0 where more than a second's worth went at once
          let there = perSecond * 1000
          let at = 1_000_000
          for (const { after, wanted } of calls) {
            at += after
            there = Math.min(perSecond * 1000, there + after * perSecond)
            const taken = takeUnits(bucket, wanted, wanted, at)
            const enough = there >= Math.min(wanted, perSecond) * 1000
            expect(taken.granted).toBe(enough ? wanted : 0)
            if (enough) there -= wanted * 1000
            else expect(takeUnits({ ...bucket }, wanted, wanted, at + taken.retryMs).granted).toBe(wanted)
            expect(taken.remaining).toBe(Math.max(0, Math.floor(there / 1000)))
          }
        },
      ),
    )
  })
})

describe('limits that processes share in Redis', () => {
  it('apply to all processes together, and are used up', async () => {
    const { url, prefix } = await testRedis()
    const shares = [createRedisRateLimits(url, prefix), createRedisRateLimits(url, prefix), createRedisRateLimits(url, prefix)]
    const start = performance.now()
    let passed = 0
    await Promise.all(
      shares.map(async (shared) => {
        // on a busy machine Redis may answer too late, and then requests are refused: it goes on until some have passed
        const limits = limiter(shared, 'closed')
        while (performance.now() - start < 1000 || passed <= 200) {
          const done = await Promise.resolve(limits.take(key('shared', 200), 1)).then(
            () => true,
            () => false,
          )
          if (done) passed++
          else await new Promise((resolve) => setTimeout(resolve, 5))
        }
        limits.close()
      }),
    )
    const seconds = (performance.now() - start) / 1000
    expect(passed).toBeLessThanOrEqual(200 + 200 * seconds + 1)
    expect(passed).toBeGreaterThan(200)
  })

  it('pass all simultaneous requests within the limit, and no more', async () => {
    const { url, prefix } = await testRedis()
    for (const shared of [true, false]) {
      const limits = shared ? limiter(createRedisRateLimits(url, prefix)) : limiter(null, 'local', () => 0)
      const passed = async (owner: string, requests: number): Promise<number> => {
        const all = await Promise.allSettled(Array.from({ length: requests }, async () => await limits.take(key(owner, 100), 1)))
        return all.filter(({ status }) => status === 'fulfilled').length
      }
      await unlessSlow(answeredMs, async (attempt) => {
        expect(await passed(`burst ${attempt}`, 64)).toBe(64)
        const start = performance.now()
        const most = await passed(`flood ${attempt}`, 500)
        expect(most).toBeGreaterThanOrEqual(100)
        // by Redis' clock some come again meanwhile, by one that stands still none
        expect(most).toBeLessThanOrEqual(shared ? 101 + (performance.now() - start) / 10 : 100)
      })
      limits.close()
    }
  })

  it('are fetched ahead: one Redis call serves many requests', async () => {
    const { url, prefix } = await testRedis()
    const shared = createRedisRateLimits(url, prefix)
    let asked = 0
    const limits = limiter({ ...shared, take: (...args) => (asked++, shared.take(...args)) })
    const start = performance.now()
    for (let i = 0; i < 5000; i++) await limits.take(key('fast', 100_000), 1)
    expect(asked).toBeLessThan(20 + (20 * (performance.now() - start)) / 1000)
    limits.close()
  })

  it('report their state, refuse with a retry time, and count per key and scope', async () => {
    const { url, prefix } = await testRedis()
    const limits = limiter(createRedisRateLimits(url, prefix))
    await unlessSlow(answeredMs, async (attempt) => {
      const [a, b] = [key(`a ${attempt}`, 2), key(`b ${attempt}`, 2)]
      const states = [await limits.take(a, 1), await limits.take(a, 1)]
      expect(states.map(({ remaining }) => remaining)).toEqual([1, 0])
      await expect(limits.take(a, 1)).rejects.toMatchObject({
        code: 'RATE_LIMITED',
        details: { limit: 'requests', retryAfterSeconds: 1 },
      })
      expect((await limits.take({ ...a, scope: 'predict' }, 1)).remaining).toBe(1)
      expect((await limits.take(b, 1)).remaining).toBe(1)
      expect(limitHeaders(states.slice(1))).toEqual({ 'ratelimit-policy': '"requests";q=2;w=1', ratelimit: '"requests";r=0;t=1' })
    })
    limits.close()
  })

  it("pass a request above a second's worth when all is there; the next one waits", async () => {
    const { url, prefix } = await testRedis()
    const limits = limiter(createRedisRateLimits(url, prefix))
    await unlessSlow(answeredMs, async (attempt) => {
      const rows = key(`rows ${attempt}`, 1000)
      await limits.take(rows, 5000)
      const error = await Promise.resolve(limits.take(rows, 1)).catch((failed: unknown) => failed)
      expect(error).toMatchObject({ code: 'RATE_LIMITED' })
      const { retryAfterMs } = (error as { details: { retryAfterMs: number } }).details
      expect(retryAfterMs).toBeGreaterThan(2000)
      expect(retryAfterMs).toBeLessThanOrEqual(4001)
    })
    limits.close()
  })

  it.each<[LimitFallback, (string | undefined)[]]>([
    ['local', [undefined, undefined, 'RATE_LIMITED']],
    ['open', [undefined, undefined, undefined]],
    ['closed', ['REDIS_UNAVAILABLE', 'REDIS_UNAVAILABLE', 'REDIS_UNAVAILABLE']],
  ])('use the fallback "%s" while Redis is down', async (fallback, expected) => {
    const limits = limiter(createRedisRateLimits('redis://127.0.0.1:1', 'x'), fallback, () => 0)
    const codes: unknown[] = []
    for (let i = 0; i < 3; i++) {
      const failed = await Promise.resolve(limits.take(key('away', 2), 1)).then(
        () => undefined,
        (error: unknown) => error,
      )
      codes.push((failed as { code?: string } | undefined)?.code)
    }
    expect(codes).toEqual(expected)
    limits.close()
  })
})

describe('limits in one process', () => {
  it('work without Redis, by the local clock', async () => {
    let now = 0
    const limits = limiter(null, 'local', () => now)
    await limits.take(key('a', 1), 1)
    await expect(limits.take(key('a', 1), 1)).rejects.toMatchObject({ code: 'RATE_LIMITED', details: { retryAfterMs: 1000 } })
    now += 1000
    expect((await limits.take(key('a', 1), 1)).remaining).toBe(0)
    limits.close()
  })
})
