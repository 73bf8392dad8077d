import { afterAll, beforeAll, expect, it } from 'vitest'
import { openOnlineStore } from '../../online/open-store.ts'
import type { OnlineStore } from '../../online/store.ts'
import type { OwnRedis } from '../services/own-redis.ts'
import { asking, keepFromSaving, ownRedis } from '../services/own-redis.ts'
import { unlessStalled } from '../unless-slow.ts'
import { bumpRevision, erasedNotice, registryChannel } from '../../registry/revision.ts'
import { until } from './gate.ts'
import type { Answer, World } from './world.ts'
import { ask, createWorld, noon } from './world.ts'

const question = { service: 'flight', entities: [{ airport: 'ATL', distance: 1 }] }

let world: World
let redis: OwnRedis
let store: OnlineStore
beforeAll(async () => {
  ;[world, redis] = await Promise.all([createWorld('embedded'), ownRedis('redis-server')])
  store = await open()
  await world.db.script(`insert into lockstep_source.landings (airport, at, delay) values ('ATL', '2001-07-01T11:30:00Z', 25)`)
  await world.materialize('airport_delays', noon, store)
})
afterAll(async () => {
  await store?.close()
  await world?.close()
  await redis?.stop()
})

function open(): Promise<OnlineStore> {
  return openOnlineStore({ redisUrl: redis.url, redisPrefix: 'away', directory: '/nowhere' })
}

/** Asks over and over, a few at a time, until told to stop. */
function load(url: string): { stop(): Promise<Answer[]> } {
  const answers: Answer[] = []
  let over = false
  const asking = Array.from({ length: 4 }, async () => {
    while (!over) {
      answers.push(await ask(url, '/v1/features', question))
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  })
  return {
    async stop() {
      over = true
      await Promise.all(asking)
      return answers
    },
  }
}

const outcomeOf = (answer: Answer): string =>
  answer.status === 200 ? ('degraded' in answer.body ? 'degraded' : 'whole') : answer.body.error.code

it('answers errors or flagged defaults while Redis is down, and then recovers', async () => {
  const [strict, lenient] = await Promise.all([world.serve({ store: open }), world.serve({ store: open, onUnavailable: 'defaults' })])
  await Promise.all([strict.server.whenReady(), lenient.server.whenReady()])
  const whole = await ask(strict.url, '/v1/features', question)
  expect(outcomeOf(whole)).toBe('whole')
  expect(Object.values(whole.body.results[0]?.statuses ?? {})).toContain('PRESENT')
  const loads = [load(strict.url), load(lenient.url)]

  process.kill(redis.pid, 'SIGSTOP')
  await until(async () => (await ask(strict.url, '/readyz')).status === 503)
  const degraded = await ask(lenient.url, '/v1/features', question)
  expect(outcomeOf(degraded)).toBe('degraded')
  expect(Object.values(degraded.body.results[0]?.statuses ?? {})).toContain('UNAVAILABLE')
  expect(Object.keys(degraded.body.results[0]?.features ?? {})).toEqual(Object.keys(whole.body.results[0]?.features ?? {}))
  // a request may ask for the other
  expect(outcomeOf(await ask(lenient.url, '/v1/features', { ...question, onUnavailable: 'error' }))).toBe('REDIS_UNAVAILABLE')
  expect(outcomeOf(await ask(strict.url, '/v1/features', { ...question, onUnavailable: 'defaults' }))).toBe('degraded')
  // each server notices it at its own next check
  await until(async () => {
    const { status, body } = await ask(lenient.url, '/readyz')
    expect(status).toBe(200)
    return body.warnings?.some((warning) => warning.includes('online store')) ?? false
  })
  process.kill(redis.pid, 'SIGCONT')
  await until(async () => outcomeOf(await ask(strict.url, '/v1/features', question)) === 'whole')
  await until(async () => outcomeOf(await ask(lenient.url, '/v1/features', question)) === 'whole')

  process.kill(redis.pid, 'SIGKILL')
  await until(async () => (await ask(strict.url, '/readyz')).status === 503)
  redis = await ownRedis('redis-server', { port: redis.port })
  // It comes back empty: nothing is answered from it as if it knew.
  await until(async () => (await ask(strict.url, '/readyz')).body.reasons?.some((reason) => reason.includes('holds none')) ?? false)
  expect(outcomeOf(await ask(strict.url, '/v1/features', question))).toBe('NOT_READY')
  expect(outcomeOf(await ask(lenient.url, '/v1/features', question))).toBe('degraded')
  await world.materialize('airport_delays', noon, store)
  await until(async () => outcomeOf(await ask(lenient.url, '/v1/features', question)) === 'whole')

  const [fromStrict = [], fromLenient = []] = await Promise.all(loads.map((each) => each.stop()))
  expect([...new Set(fromStrict.map(outcomeOf))].toSorted()).toEqual(['NOT_READY', 'REDIS_UNAVAILABLE', 'whole'])
  expect([...new Set(fromLenient.map(outcomeOf))].toSorted()).toEqual(['degraded', 'whole'])
  for (const answer of [...fromStrict, ...fromLenient])
    if (outcomeOf(answer) === 'whole') expect(answer.body.results).toEqual(whole.body.results)
  const { text } = await ask(lenient.url, '/metrics')
  expect(text).toMatch(/lockstep_degraded_requests_total\{service="flight@1"\} [1-9]/)
  expect(text).toMatch(/lockstep_online_errors_total\{code="REDIS_UNAVAILABLE"\} [1-9]/)
  await Promise.all([strict.server.close(), lenient.server.close()])
})

it('answers recent reads, flagged, while Redis is silent, and nothing else as known', async () => {
  const config = { bodyLimitBytes: 100_000, staleSeconds: 600 }
  const { url, server, registry } = await world.serve({ store: open, onUnavailable: 'stale', config })
  await server.whenReady()
  await until(async () => outcomeOf(await ask(url, '/v1/features', question)) === 'whole')
  const whole = await ask(url, '/v1/features', question)
  expect(Object.values(whole.body.results[0]?.statuses ?? {})).toContain('PRESENT')
  const past = { ...question, asOf: '2001-07-01T11:00:00Z' }
  const wholePast = await ask(url, '/v1/features', past)
  expect(wholePast.body.results[0]?.statuses).not.toEqual(whole.body.results[0]?.statuses)
  const strangers = { ...question, entities: [...question.entities, { airport: 'LAX', distance: 1 }] }
  process.kill(redis.pid, 'SIGSTOP')
  try {
    // nobody has noticed yet, and there is time to answer: a tenth of the deadline
    await unlessStalled(200, async (attempt) => {
      if (attempt > 0) {
        process.kill(redis.pid, 'SIGCONT')
        await until(async () => outcomeOf(await ask(url, '/v1/features', question)) === 'whole')
        process.kill(redis.pid, 'SIGSTOP')
      }
      const hurried = await ask(url, '/v1/features', question, { 'x-request-timeout-ms': '2500' })
      expect([outcomeOf(hurried), hurried.body.results]).toEqual(['degraded', whole.body.results])
    })
    await until(async () => outcomeOf(await ask(url, '/v1/features', question)) === 'degraded')
    const { body } = await ask(url, '/v1/features', { ...question, include: ['frontiers'] })
    expect(body.results).toEqual(whole.body.results)
    expect(body).toMatchObject({ degraded: true, staleMs: expect.any(Number), frontiers: { 'airport_delays@1': expect.any(String) } })
    expect(outcomeOf(await ask(url, '/v1/features', { ...question, onUnavailable: 'error' }))).toBe('REDIS_UNAVAILABLE')
    expect(outcomeOf(await ask(url, '/v1/features', strangers))).toBe('REDIS_UNAVAILABLE')
    const mixed = await ask(url, '/v1/features', { ...strangers, onUnavailable: 'defaults' })
    expect(mixed.body.results[0]).toEqual(whole.body.results[0])
    expect(mixed.body.results[1]?.statuses).toMatchObject({ lastDelay: 'UNAVAILABLE' })
    // what a state cannot say, the history does
    const ofPast = await ask(url, '/v1/features', past)
    expect([outcomeOf(ofPast), ofPast.body.results]).toEqual(['degraded', wholePast.body.results])
    const ofFeast = await ask(url, '/get-online-features', { feature_service: 'flight', entities: { airport: ['ATL'], distance: [1] } })
    expect([ofFeast.status, ofFeast.headers.get('lockstep-degraded')]).toEqual([200, 'true'])
    expect(Number(ofFeast.headers.get('lockstep-stale-ms'))).toBeGreaterThan(0)
    const ready = await ask(url, '/readyz')
    expect([ready.status, (ready.body.warnings ?? []).length > 0]).toEqual([200, true])
    expect(await registry.getSingleMetricAsString('lockstep_degraded_requests_total')).toMatch(/service="flight@1"\} [1-9]/)
    // a change of the registry is none of theirs
    await bumpRevision(world.db.kysely)
    await world.db.query(`select pg_notify('${registryChannel}', 'keys')`)
    const until200ms = performance.now() + 200
    while (performance.now() < until200ms) expect(outcomeOf(await ask(url, '/v1/features', question))).toBe('degraded')
    await world.db.query(`select pg_notify('${registryChannel}', '${erasedNotice}')`)
    await until(async () => outcomeOf(await ask(url, '/v1/features', question)) === 'REDIS_UNAVAILABLE')
  } finally {
    process.kill(redis.pid, 'SIGCONT')
  }
  await until(async () => outcomeOf(await ask(url, '/v1/features', question)) === 'whole')
  await server.close()
})

it('stays ready while Redis is almost full, and warns until it has room', async () => {
  const { url, server } = await world.serve({ store: open })
  await server.whenReady()
  const limit = (bytes: string) => asking(redis.port, (admin) => admin.config('SET', 'maxmemory', bytes))
  const warned = async () => (await ask(url, '/readyz')).body.warnings?.find((warning) => warning.includes('of its maxmemory'))
  expect(await warned()).toBeUndefined()
  await limit('1')
  await until(async () => (await warned()) !== undefined)
  expect(await warned()).toMatch(
    /^Redis at "127\.0\.0\.1:\d+" uses \d+ % of its maxmemory\. When it is full, it refuses writes\. Raise maxmemory/,
  )
  expect(await ask(url, '/readyz')).toMatchObject({ status: 200, body: { degraded: expect.arrayContaining(['online store']) as string[] } })
  expect(world.logged.filter((line) => line.includes('the online store is almost full'))).toHaveLength(1)
  await limit('0')
  await until(async () => (await warned()) === undefined)
  await server.close()
})

it('answers as before while Redis cannot save to its disk, and warns until it can', async () => {
  const letSave = await keepFromSaving(redis)
  // its connections are new
  const { url, server } = await world.serve({ store: open })
  await server.whenReady()
  const warned = async () => (await ask(url, '/readyz')).body.warnings?.find((warning) => warning.includes('its disk'))
  await until(async () => (await warned()) !== undefined)
  expect(await warned()).toMatch(/^Redis at "127\.0\.0\.1:\d+" cannot save to its disk, and refuses writes until it can\. Free some space/)
  expect(outcomeOf(await ask(url, '/v1/features', question))).toBe('whole')
  await letSave()
  await until(async () => (await warned()) === undefined)
  await server.close()
})

it('keeps answering recent reads from a Redis that was emptied since', async () => {
  const config = { bodyLimitBytes: 100_000, staleSeconds: 600 }
  const { url, server } = await world.serve({ store: open, onUnavailable: 'stale', config })
  await server.whenReady()
  await until(async () => outcomeOf(await ask(url, '/v1/features', question)) === 'whole')
  const whole = await ask(url, '/v1/features', question)
  await asking(redis.port, (admin) => admin.flushall())
  for (let time = 0; time < 3; time++) {
    const answer = await ask(url, '/v1/features', question)
    expect([outcomeOf(answer), answer.body.results]).toEqual(['degraded', whole.body.results])
  }
  const stranger = await ask(url, '/v1/features', { ...question, entities: [{ airport: 'LAX', distance: 1 }] })
  expect(outcomeOf(stranger)).toBe('NOT_READY')
  await world.materialize('airport_delays', noon, store)
  await until(async () => outcomeOf(await ask(url, '/v1/features', question)) === 'whole')
  await server.close()
})

it('reports and counts invalid data or replies of Redis, and loses nothing', async () => {
  const { url, server } = await world.serve({ store: open, onUnavailable: 'defaults' })
  await server.whenReady()
  await until(async () => outcomeOf(await ask(url, '/v1/features', question)) === 'whole')
  const whole = await ask(url, '/v1/features', question)
  await asking(redis.port, async (admin) => {
    const key = (await admin.keys('away:{*ATL*}*'))[0] ?? ''
    const kept = await admin.getBuffer(key)
    if (kept === null) throw new Error('The state is not there.')
    // metrics are made once a second
    const untilCounted = (line: RegExp) => until(async () => line.test((await ask(url, '/metrics')).text))
    for (const [bytes, code] of [
      [Buffer.from('another program'), /STATE_CORRUPT/],
      [Buffer.concat([Buffer.of(9), kept.subarray(1)]), /STATE_VERSION/],
    ] as const) {
      await admin.set(key, bytes)
      const answer = await ask(url, '/v1/features', question)
      expect(answer.status).toBe(500)
      expect(answer.body.error.code).toMatch(code)
      await untilCounted(new RegExp(`lockstep_online_errors_total\\{code="${answer.body.error.code}"\\} [1-9]`))
    }
    await admin.del(key)
    await admin.hset(key, 'of', 'another program')
    const answer = await ask(url, '/v1/features', question)
    expect([answer.status, answer.body.error.code]).toEqual([500, 'STATE_CORRUPT'])
    expect(answer.body.error.message).toContain(`"${key}"`)
    await untilCounted(/lockstep_online_errors_total\{code="WRONGTYPE"\} 1\b/)
    await admin.del(key)
    await admin.set(key, kept)
    expect((await ask(url, '/v1/features', question)).body.results).toEqual(whole.body.results)

    const checkpoint = { code: 'REDIS_UNAVAILABLE' }
    const run = () => world.materialize('airport_required', noon, store)
    await admin.config('SET', 'maxmemory', '1')
    await expect(run()).rejects.toMatchObject({
      ...checkpoint,
      details: { redis: 'OOM' },
      message: expect.stringContaining('raise its maxmemory'),
    })
    await admin.config('SET', 'maxmemory', '0')
    await admin.replicaof('127.0.0.1', '1')
    await expect(run()).rejects.toMatchObject({ ...checkpoint, details: { redis: 'READONLY' } })
    await admin.replicaof('NO', 'ONE')
  })
  await world.materialize('airport_required', noon, store)
  expect((await ask(url, '/v1/features', question)).body.results).toEqual(whole.body.results)
  await server.close()
})
