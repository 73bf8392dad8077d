import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readAlerts } from '../../../monitoring/alerts/read-alerts.ts'
import type { TestDatabase } from '../../services/index.ts'
import { testDatabase, testRedis } from '../../services/index.ts'
import { faults, inject } from './faults.ts'
import type { Shop } from './virtual-shop.ts'
import { openShop } from './virtual-shop.ts'

// All faults, and a healthy week: npm run bench -- monitoring

let database: TestDatabase
let shop: Shop
beforeAll(async () => {
  database = await testDatabase()
  shop = await openShop({ postgresUrl: database.url, redis: await testRedis(), conditions: { busyEvery: 10, evaluateEvery: 30 } })
})
afterAll(async () => {
  await shop?.close()
  await database?.drop()
})

const faultOf = (name: string) => faults.find((fault) => fault.name === name) ?? expect.unreachable(name)

describe('the default monitors', () => {
  it('fire no alert on a healthy day', async () => {
    // and the half hour before the first evaluation
    await shop.pass(1470)
    expect(await readAlerts(shop.db)).toEqual([])
    const states = await shop.db.query<{ check_kind: string; finding: string }>(
      `select check_kind, state->>'finding' as finding from lockstep.monitor_states order by 1, 2`,
    )
    // the others need more history, or more requests
    expect(new Set(states.flatMap(({ check_kind, finding }) => (finding === 'ok' ? [check_kind] : [])))).toEqual(
      new Set(['arrivals', 'clock', 'drift', 'errors', 'freshness', 'jobs', 'nulls', 'parity', 'predictions', 'rollouts']),
    )
  }, 600_000)

  it.each([
    ['a feed stops', 5],
    ['a materializer is stopped', 1],
  ])('notice that %s, and fire nothing else', async (name, evaluateEvery) => {
    Object.assign(shop.conditions, { busyEvery: 5, evaluateEvery, feed: true })
    const fault = { ...faultOf(name), healthy: 20 }
    const begun = shop.now()
    const { seconds, wrong } = await inject(shop, fault)
    expect(wrong.filter(({ started }) => started > begun)).toEqual([])
    expect(seconds ?? Infinity).toBeLessThanOrEqual(fault.within * 60)
  })
})
