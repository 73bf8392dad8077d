import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { endlessModel } from '../../inference/made-models.ts'
import { servingSet } from '../definitions.ts'
import { until } from '../gate.ts'
import type { Answer, World } from '../world.ts'
import { ask, createWorld } from '../world.ts'
import { heldStore } from './held-store.ts'

const question = { service: 'flight', entities: [{ airport: 'ATL', distance: 1 }] }
const prediction = { model: 'echo', entities: question.entities }
const config = { bodyLimitBytes: 100_000 }

let world: World

beforeAll(async () => {
  world = await createWorld('redis')
  await world.db.script(`insert into lockstep_source.landings (airport, at, delay) values ('ATL', '2001-07-01T11:30:00Z', 25)`)
  await world.materialize('airport_delays')
  await world.push('echo', 'identity')
})
afterAll(() => world?.close())

async function serve(options: Parameters<World['serve']>[0] = {}, of = world) {
  const served = await of.serve(options)
  await served.server.whenReady()
  return served
}

const told = ({ status, body }: Answer) => [status, body.error?.code]

describe('a deadline', () => {
  it('ends a request that takes longer with 504, and one that leaves no time at all', async () => {
    const held = heldStore(world)
    const { url, server } = await serve({ store: held.store })
    const start = performance.now()
    const late = await ask(url, '/v1/features', question, { 'x-request-timeout-ms': '100' })
    expect(told(late)).toEqual([504, 'DEADLINE_EXCEEDED'])
    expect(performance.now() - start).toBeGreaterThanOrEqual(99)
    for (const wrong of ['0', '-1', 'soon', '1.5', '99999999']) {
      expect(told(await ask(url, '/v1/features', question, { 'x-request-timeout-ms': wrong }))).toEqual([400, 'INVALID_REQUEST'])
    }
    held.letGo()
    expect((await ask(url, '/v1/features', question, { 'x-request-timeout-ms': '120000' })).status).toBe(200)
    await server.close()
  })

  it('is the configured one if the request has none', async () => {
    const held = heldStore(world)
    const { url, server } = await serve({ store: held.store, config: { ...config, requestTimeoutMs: 50 } })
    expect(told(await ask(url, '/v1/predict', prediction))).toEqual([504, 'DEADLINE_EXCEEDED'])
    held.letGo()
    await server.close()
  })
})

describe('a deadline that the runs of a model would miss', () => {
  it('ends a request before its features are read, until the model was idle for long', async () => {
    const slow = await createWorld('redis')
    try {
      await slow.materialize('airport_delays')
      await slow.push('echo', endlessModel(30_000))
      const held = heldStore(slow)
      held.letGo()
      const { url, server } = await serve({ store: held.store }, slow)
      const times: number[] = []
      for (let i = 0; i < 3; i++) {
        const startMs = performance.now()
        expect((await ask(url, '/v1/predict', prediction)).status).toBe(200)
        times.push(performance.now() - startMs)
      }
      // a run takes several times as long
      const shortly = { 'x-request-timeout-ms': String(Math.ceil(Math.min(...times) / 4)) }
      const read = held.reading()
      expect(told(await ask(url, '/v1/predict', prediction, shortly))).toEqual([504, 'DEADLINE_EXCEEDED'])
      const entity = {
        inputs: [
          { name: 'airport', datatype: 'BYTES', shape: [1], data: ['ATL'] },
          { name: 'distance', datatype: 'FP64', shape: [1], data: [1] },
        ],
      }
      expect((await ask(url, '/v2/models/echo/infer', entity, shortly)).status).toBe(504)
      expect(held.reading()).toBe(read)
      await until(async () => {
        await delay(1100)
        expect(told(await ask(url, '/v1/predict', prediction, shortly))).toEqual([504, 'DEADLINE_EXCEEDED'])
        return held.reading() > read
      }, 100_000)
      await server.close()
    } finally {
      await slow.close()
    }
  })

  it('never ends a request with a cached answer', async () => {
    const operational = { cache: { ttlMicros: 3_600_000_000, maxEntries: 100 } }
    const models = servingSet.models.map((model) => (model.spec.name === 'echo' ? { ...model, operational } : model))
    const slow = await createWorld('redis', { ...servingSet, models })
    try {
      await slow.materialize('airport_delays')
      await slow.push('echo', endlessModel(30_000))
      const { url, server } = await serve({}, slow)
      expect((await ask(url, '/v1/predict', prediction)).status).toBe(200)
      let distance = 2
      // where the machine is busy, what is cached may take as long too
      await until(async () => {
        const start = performance.now()
        const other = { ...prediction, entities: [{ airport: 'ATL', distance: distance++ }] }
        expect((await ask(url, '/v1/predict', other)).status).toBe(200)
        const shortly = { 'x-request-timeout-ms': String(Math.max(20, Math.round((performance.now() - start) * 0.8))) }
        return (await ask(url, '/v1/predict', prediction, shortly)).status === 200
      }, 60_000)
      await server.close()
    } finally {
      await slow.close()
    }
  })
})
