import { Registry } from 'prom-client'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { loadCatalog } from '../../registry/catalog.ts'
import { readModelBytes } from '../../registry/models/model-versions.ts'
import { createLogger } from '../../runtime/log.ts'
import { openInlineSession } from '../../inference/inline-session.ts'
import { initializeOrt } from '../../inference/initialize-ort.ts'
import { createModelHost } from '../../serving/models/model-host.ts'
import { createRunMetrics } from '../../serving/models/run-metrics.ts'
import { servingSet } from '../serving/definitions.ts'
import { treeModel } from './made-models.ts'
import type { World } from '../serving/world.ts'
import { createWorld } from '../serving/world.ts'

const score = [{ name: 'score', type: { kind: 'float32' } }] as const
const bytes = treeModel(90, 11)
let world: World

beforeAll(async () => {
  const models = servingSet.models.map((each) => (each.spec.name === 'classes' ? { ...each, spec: { ...each.spec, output: score } } : each))
  world = await createWorld('embedded', { ...servingSet, models })
  await world.push('delay', 'mlp')
  await world.push('classes', bytes)
})
afterAll(() => world?.close())

/**
 * The longest that this thread computed without a pause while `work` went on, milliseconds of its processor's time, as
 * what others do on the machine is no matter.
 */
async function longestTurnMs(work: () => Promise<unknown>): Promise<number> {
  let longest = 0
  let going = true
  let before = process.threadCpuUsage()
  const tick = () => {
    const { user, system } = process.threadCpuUsage(before)
    longest = Math.max(longest, (user + system) / 1000)
    before = process.threadCpuUsage()
    if (going) setImmediate(tick)
  }
  setImmediate(tick)
  await work()
  await new Promise((resolve) => setImmediate(resolve))
  going = false
  return longest
}

/** The longest turn while a host reads, loads and tries the large model and answers with the small one. */
async function loadBesideRequests(): Promise<number> {
  const models = createModelHost({
    readBytes: (model, version) => readModelBytes(world.db, model, version),
    metrics: createRunMetrics(new Registry()),
    onVersions: () => undefined,
    log: createLogger('silent'),
    now: () => performance.now(),
  })
  const catalog = await loadCatalog(world.db)
  const predict = (model: string) =>
    models.use(catalog, model, undefined, async ({ predict: run, place }) => [place, await run([[1, 2, 3]])])
  await models.prepare({ ...catalog, models: new Map([...catalog.models].filter(([name]) => name === 'delay')) })
  let answers = 0
  const longest = await longestTurnMs(async () => {
    let over = false
    const large = predict('classes').finally(() => (over = true))
    for (; !over; answers++) await predict('delay')
    expect((await large)[0]).toBe('process')
  })
  expect(answers).toBeGreaterThan(10)
  await models.close()
  return longest
}

it('a large model is read, loaded and tried without long turns of the event loop', async () => {
  expect(bytes.length).toBeGreaterThan(8_000_000)
  await initializeOrt()
  // what it would be, some thirty times as long
  const inline = await longestTurnMs(async () => (await openInlineSession(bytes, 'large')).release())
  expect(inline).toBeGreaterThan(10)
  // 10 ms, or more on a slow machine
  const maxMs = Math.max(10, inline / 10)
  // a processor's time is told in steps of some milliseconds, and now and then garbage is collected: what the load
  // itself takes, it takes each time
  let longest = Number.POSITIVE_INFINITY
  for (let i = 0; i < 6 && longest >= maxMs; i++) longest = Math.min(longest, await loadBesideRequests())
  expect(longest).toBeLessThan(maxMs)
})
