import { expect, it } from 'vitest'
import { costText, monthlyCosts } from '../../cli/text/cost-text.ts'
import type { CostReport } from '../../monitoring/cost/cost-report.ts'
import type { Ended } from './run-lockstep.ts'
import { lockstep } from './lockstep.ts'

const report: CostReport = {
  from: '2026-03-01T00:00:00Z',
  to: '2026-03-08T00:00:00Z',
  measuredMinutes: 4320,
  cpuSeconds: 7200,
  models: [
    { model: 'fraud', requests: 10, rows: 3_600_000, cacheHits: 0, cpuSeconds: 3600, cpuMicrosPerRow: 1000, versions: 2, fileBytes: 2e6 },
    { model: 'old', requests: 0, rows: 0, cacheHits: 0, cpuSeconds: 0, cpuMicrosPerRow: null, versions: 1, fileBytes: 1e6 },
  ],
  views: [
    { view: 'spending@1', states: 2_000_000, bytes: 5e8, rows: 3_600_000, answersSeen: 9, models: ['fraud'], services: ['fraud@1'] },
    { view: 'idle@1', states: null, bytes: null, rows: 0, answersSeen: 0, models: [], services: [] },
  ],
  online: { sampledKeys: 4000, failure: null },
  tables: Array.from({ length: 12 }, (_, i) => ({ table: `t${i}`, bytes: 12_000_000_000 - i })),
  unused: [{ kind: 'view', name: 'idle@1', why: 'no service reads it' }],
}
const noPrices = { cpuHour: null, memory: null, disk: null }

it('costs of 30 days follow from the minutes that were measured, and from sizes', () => {
  // three days were measured: a tenth of a month
  const { servers, models, views, tables } = monthlyCosts(report, { cpuHour: 0.05, memory: 4, disk: null })
  expect(servers).toBeCloseTo(1, 9)
  expect(models['fraud']).toBeCloseTo(0.5, 9)
  expect(models['old']).toBe(0)
  expect(views).toEqual({ 'spending@1': 2, 'idle@1': null })
  expect(tables['t0']).toBeNull()
  expect(monthlyCosts({ ...report, measuredMinutes: 0 }, { cpuHour: 0.05, memory: 4, disk: 1 }).servers).toBeNull()
})

it('the text has a column of costs for each price that is given, and says what is estimated and unused', () => {
  expect(costText({ ...report, measuredMinutes: 0 }, noPrices)).toContain(': no server process was measured. ')
  const plain = costText(report, noPrices)
  expect(plain).not.toContain('A MONTH')
  expect(plain).toMatch(/fraud +10 +3,600,000 +0 +1 h 0 min +1\.0 s +2 +2\.0 MB\n/)
  expect(plain).toContain('estimated from 4,000 random keys')
  expect(plain).toContain('2 smaller tables: 24.0 GB')
  expect(plain).toContain('  view idle@1: no service reads it')
  const priced = costText(report, { ...noPrices, memory: 4 })
  expect(priced).toMatch(/spending@1 +2,000,000 +500\.0 MB +3,600,000 +2\.00 +fraud\n/)
  expect(priced.match(/A MONTH/g)).toHaveLength(1)
})

it('a price that is no number is refused before anything is read', async () => {
  const ended: Ended = await lockstep({}, 'cost', '--cpu-hour', '4 cents')
  expect([ended.code, ended.err]).toEqual([2, expect.stringContaining('"--cpu-hour" is "4 cents": it must be a price, such as 0.04')])
})
