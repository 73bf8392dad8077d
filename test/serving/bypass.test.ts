import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { createLogger } from '../../runtime/log.ts'
import { createBypass } from '../../serving/rollouts/bypass.ts'

test('a candidate that fails is probed after 1 s, then 2 s, up to 30 s, until it answers', () => {
  let now = 0
  const begun: number[] = []
  const onBegin = (_model: string, version: number) => begun.push(version)
  const bypass = createBypass({ registry: new Registry(), log: createLogger('silent'), now: () => now, onBegin })
  const fail = () => bypass.madeGood('m', 7, 1, true)
  for (let i = 0; i < 4; i++) fail()
  expect(bypass.isBypassed('m', 7)).toBe(false)
  // all of these were under way when the bypass began
  for (let i = 0; i < 50; i++) fail()
  const waited: number[] = []
  for (let probe = 0; probe < 7; probe++) {
    const start = now
    while (bypass.isBypassed('m', 7)) now += 100
    waited.push((now - start) / 1000)
    // of concurrent requests one probes it
    expect(bypass.isBypassed('m', 7)).toBe(true)
    fail()
  }
  expect(waited).toEqual([1, 2, 4, 8, 16, 30, 30])
  expect(begun).toEqual([7])
  while (bypass.isBypassed('m', 7)) now += 100
  bypass.answered('m', 7, 1)
  expect([bypass.isActive, bypass.isBypassed('m', 7)]).toEqual([false, false])
})

test('a bypass ends, and its gauge falls, once no request asks for the candidate', async () => {
  const registry = new Registry()
  let now = 0
  const bypass = createBypass({ registry, log: createLogger('silent'), now: () => now, onBegin: () => undefined })
  const gauge = async () => (await registry.getSingleMetric('lockstep_candidate_bypassed')?.get())?.values.map(({ value }) => value)
  for (let request = 0; request < 5; request++) bypass.madeGood('m', 7, 1, true)
  expect([bypass.isBypassed('m', 7), await gauge()]).toEqual([true, [1]])
  now += 5000
  expect(await gauge()).toEqual([1])
  now += 30_000
  expect(await gauge()).toEqual([0])
  expect([bypass.isActive, bypass.isBypassed('m', 7)]).toEqual([false, false])
})
