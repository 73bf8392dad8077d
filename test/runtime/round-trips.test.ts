import { Registry } from 'prom-client'
import { expect, it } from 'vitest'
import { roundTripsOf } from '../../runtime/postgres/round-trips.ts'

const count = async (registry: Registry, labels: string): Promise<string | undefined> =>
  new RegExp(`^lockstep_store_seconds_count\\{${labels}\\} (.*)$`, 'm').exec(await registry.metrics())?.[1]

it('counts operations that succeed and that fail, and passes on what they give', async () => {
  const registry = new Registry()
  const timed = roundTripsOf(registry).timer('postgresql', 'query')
  expect(await timed(() => Promise.resolve(7))).toBe(7)
  await expect(timed(() => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await count(registry, 'store="postgresql",operation="query"')).toBe('2')
})

it('measures one operation of so many, the first included', async () => {
  const registry = new Registry()
  const timed = roundTripsOf(registry).timer('redis', 'read', 8)
  for (let i = 0; i < 17; i++) await timed(() => Promise.resolve())
  expect(await count(registry, 'store="redis",operation="read"')).toBe('3')
})

it('has one histogram for each registry, and no series before the first operation', async () => {
  const registry = new Registry()
  const timers = [roundTripsOf(registry).timer('sqlite', 'read'), roundTripsOf(registry).timer('sqlite', 'read')]
  expect(await registry.metrics()).not.toContain('sqlite')
  for (const timed of timers) await timed(() => Promise.resolve())
  expect(await count(registry, 'store="sqlite",operation="read"')).toBe('2')
})
