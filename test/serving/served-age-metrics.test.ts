import { Registry } from 'prom-client'
import { expect, it } from 'vitest'
import type { DefinitionId } from '../../kernel/specs/view-spec.ts'
import { createServedAgeMetrics } from '../../serving/features/served-age-metrics.ts'

const second = 1_000_000
const now = 1000 * second
const request = (id: DefinitionId) => ({ plan: { id } })

async function served(reads: (note: ReturnType<typeof createServedAgeMetrics>['note']) => void) {
  const registry = new Registry()
  reads(createServedAgeMetrics(registry, () => now).note)
  const text = await registry.metrics()
  return (sample: string) => Number(new RegExp(`^lockstep_served_${sample.replaceAll(/[{}]/g, '\\$&')} (.*)$`, 'm').exec(text)?.[1])
}

it('measures the age of answers, and of the newest of them', async () => {
  const value = await served((note) => {
    const requests = [request('clicks@1'), request('clicks@1'), request('clicks@1')]
    note(requests, [{ highWater: now - 30 * second }, { highWater: Number.NEGATIVE_INFINITY }, { highWater: now - 400 * second }], now)
  })
  expect(value('age_seconds_count{view="clicks@1"}')).toBe(2)
  expect(value('age_seconds_sum{view="clicks@1"}')).toBe(430)
  expect(value('newest_age_seconds{view="clicks@1"}')).toBe(30)
})

it('never measures an age below zero, as of a moment behind the data', async () => {
  const value = await served((note) => note([request('clicks@1')], [{ highWater: now + second }], now))
  expect(value('age_seconds_sum{view="clicks@1"}')).toBe(0)
  expect(value('newest_age_seconds{view="clicks@1"}')).toBe(0)
})

it('looks at one read in 16, and at 64 answers of it: other ones each time', async () => {
  const views = Array.from({ length: 100 }, (_, i): DefinitionId => `view${i}@1`)
  const value = await served((note) => {
    for (let read = 0; read < 32; read++) {
      note(
        views.map(request),
        views.map(() => ({ highWater: now })),
        now,
      )
    }
  })
  const counts = views.map((view) => value(`age_seconds_count{view="${view}"}`))
  // 64 of the first read, and of the 17th the remaining 36 and again the first 28
  expect(counts.map((count, i) => count === (i < 28 ? 2 : 1))).not.toContain(false)
})
