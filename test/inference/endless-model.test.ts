import { afterAll, beforeAll, expect, it } from 'vitest'
import { endlessModel } from './made-models.ts'
import { promoteModel } from '../../registry/models/promote.ts'
import { servingSet, withRunTimeout } from '../serving/definitions.ts'
import { until } from '../serving/gate.ts'
import { openGrpc } from '../serving/oip/transports.ts'
import type { World } from '../serving/world.ts'
import { ask, createWorld } from '../serving/world.ts'

const landing = { airport: 'ATL', at: '2001-07-01T11:30:00Z', delay: 7, amount: null, count: null, city: null, open: null, vec: null }

let world: World

beforeAll(async () => {
  world = await createWorld('embedded', withRunTimeout(servingSet, 3_000_000))
  await world.materialize('airport_delays')
  await world.push('delay', 'mlp')
  await world.push('echo', endlessModel())
})
afterAll(() => world?.close())

it('a model whose run never ends fails its own request only, and answers the next', async () => {
  const { server, url, registry } = await world.serve()
  await server.whenReady()
  expect((await ask(url, '/v1/sources/landings/events', { events: [landing] })).status).toBe(200)
  // the model runs as often as the feature says that is the delay over the distance
  const predict = (model: string, distance: number) => ask(url, '/v1/predict', { model, entities: [{ airport: 'ATL', distance }] })
  expect((await predict('echo', 1000)).status).toBe(200)
  let over = false
  const stuck = predict('echo', 1e-17).finally(() => (over = true))
  const statuses = new Set<number>()
  while (!over) statuses.add((await predict('delay', 1000)).status)
  expect([...statuses]).toEqual([200])
  const { status, body } = await stuck
  expect([status, body.error]).toMatchObject([504, { code: 'MODEL_TIMEOUT', message: expect.stringContaining('"echo@1"') }])
  expect((await predict('echo', 1000)).status).toBe(200)
  expect(await registry.metrics()).toContain('lockstep_model_process_ends_total{model="echo",version="1",reason="timeout"} 1')
  await server.close()
})

it('a version whose trial never ends is not served and does not delay the start', async () => {
  const { server, url, registry } = await world.serve()
  await server.whenReady()
  expect(await world.push('echo', endlessModel(4e18))).toBe(2)
  const warnings = async () => (await ask(url, '/readyz')).body.warnings ?? []
  await until(
    async () => (await warnings()).some((warning) => /"echo@2" cannot be used, and "echo@1" answers instead/.test(warning)),
    120_000,
  )
  expect((await ask(url, '/v1/predict', { model: 'echo', entities: [{ airport: 'ATL', distance: 1000 }] })).body.version).toBe(1)
  expect(await registry.metrics()).toContain('lockstep_model_version_failed{model="echo",version="2"} 1')
  const by = { actor: 'ann', reason: undefined }
  await expect(promoteModel(world.db, 'echo', 2, by)).rejects.toMatchObject({
    code: 'NOT_PROMOTABLE',
    message: expect.stringContaining('--untried'),
  })
  const change = await promoteModel(world.db, 'echo', 2, by, 'champion', { untried: true })
  expect(change.servers).toEqual({ asked: 1, loaded: 0 })
  await until(async () => (await warnings()).some((warning) => /"echo@2" answers although its trial/.test(warning)), 120_000)

  world.logged.length = 0
  const late = await world.serve()
  await late.server.whenReady()
  const models = world.logged
    .map((line) => JSON.parse(line) as { msg: string; model?: string })
    .filter(({ msg }) => msg === 'a model is loaded')
  expect(models.map(({ model }) => model)).toEqual(['delay'])
  expect((await ask(late.url, '/readyz')).body.warnings).toContain('The trial run of the model "echo" has not ended yet.')
  await Promise.all([server.close(), late.server.close()])
})

it('a model whose only version has a trial that never ends is not ready over gRPC', async () => {
  const own = await createWorld('embedded')
  await own.materialize('airport_delays')
  await own.push('echo', endlessModel(4e18))
  const { server, url, grpcPort } = await own.serve({}, { grpcPort: 0 })
  await server.whenReady()
  const warnings = async () => (await ask(url, '/readyz')).body.warnings ?? []
  await until(async () => (await warnings()).some((warning) => warning.includes('"echo@1" cannot be used')), 120_000)
  using caller = openGrpc(`127.0.0.1:${grpcPort}`)
  expect(await caller.ask('ModelReady', { name: 'echo' })).toEqual({ ready: false })
  await server.close()
  await own.close()
})
