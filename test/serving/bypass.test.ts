import { pino } from 'pino'
import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { createBypass } from '../../serving/rollouts/bypass.ts'

test('a bypass ends, and its gauge falls, once no request asks for the candidate', async () => {
  const registry = new Registry()
  const clock = { ms: 0 }
  const log = pino({ level: 'silent' })
  const bypass = createBypass({ registry, log, now: () => clock.ms, onBegin: () => undefined })
  const gauge = async () => (await registry.getSingleMetric('lockstep_candidate_bypassed')?.get())?.values.map(({ value }) => value)
  for (let request = 0; request < 5; request++) bypass.madeGood('fraud', 2, 1, true)
  expect([bypass.isBypassed('fraud', 2), await gauge()]).toEqual([true, [1]])
  clock.ms += 5000
  expect(await gauge()).toEqual([1])
  clock.ms += 30_000
  expect(await gauge()).toEqual([0])
  expect([bypass.isActive, bypass.isBypassed('fraud', 2)]).toEqual([false, false])
})
