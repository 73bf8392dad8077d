import { describe, expect, it } from 'vitest'
import { alertTable, alertText } from '../../cli/text/alert-text.ts'
import { monitorText } from '../../cli/text/monitor-text.ts'
import { clockMonitor } from '../monitoring/alerts/monitors.ts'

const latest = {
  subject: 'delay',
  state: 'breach',
  value: 30.291_66,
  threshold: 20,
  n: 7342,
  evidence: null,
  cause: 'It took 30.3 ms.',
} as const
const alert = {
  id: 2,
  monitor: 'watch',
  check: 'latency',
  subject: 'delay',
  severity: 'page',
  state: 'firing',
  resolution: null,
  notified: true,
  silencedUntil: null,
  description: null,
  runbook: null,
  startedAt: '2026-03-01T12:00:00Z',
  resolvedAt: null,
  cause: 'It took 40.9 ms.',
  value: 30.291_66,
  threshold: 20,
  n: 7342,
  evidence: { quantile: 0.95, milliseconds: { total: 40.894_464 }, usual: null },
  latest,
} as const

describe('an alert as text', () => {
  it('has the cause as it fired, the newest result, and a line for each fact that is known', () => {
    expect(alertText({ ...alert, deliveries: [] }).split('\n')).toEqual([
      'Alert 2, page: latency of delay, by the monitor watch.',
      'State: firing. Since 2026-03-01T12:00:00Z.',
      'Cause: It took 40.9 ms.',
      'Newest result: It took 30.3 ms.',
      'Newest figures: value 30.29, threshold 20, n 7,342.',
      'Evidence, as it fired:',
      '  quantile: 0.95',
      '  milliseconds: total 40.89',
      'No channel was notified.',
    ])
  })

  it('shows nested evidence in lines, without JSON, and of a long list the first', () => {
    const evidence = {
      counts: { equal: 7, different: 2 },
      failed: [],
      newCategories: ['a', 'b'],
      usual: false,
      features: Array.from({ length: 12 }, (_, i) => ({ feature: `f${i}`, share: 1 / 3, example: null })),
      examples: [{ key: 'ATL', values: { served: 1, computed: 2 } }],
    }
    const lines = alertText({ ...alert, evidence, deliveries: [] }).split('\n')
    expect(lines.slice(lines.indexOf('Evidence, as it fired:') + 1, -1)).toEqual([
      '  counts: equal 7, different 2',
      '  newCategories: a, b',
      '  usual: no',
      '  features:',
      ...Array.from({ length: 10 }, (_, i) => `    feature f${i}, share 0.3333`),
      '    and 2 more, which "alert show --json" shows',
      '  examples:',
      '    1:',
      '      key: ATL',
      '      values: served 1, computed 2',
    ])
  })

  it('says no cause twice, and nothing about evidence that is not there', () => {
    const text = alertText({ ...alert, cause: latest.cause, evidence: null, deliveries: [] })
    expect(text).not.toMatch(/Newest result|Evidence/)
  })

  it('names the time zone in the list', () => {
    expect(alertTable([alert], null)).toContain('SINCE (UTC)')
  })
})

describe('the text of a monitor', () => {
  it.each([
    [1, 'is resolved after 1 evaluation that is fine.'],
    [3, 'is resolved after 3 evaluations that are fine.'],
  ])('says after how many evaluations its alert ends: %i', (clearAfter, text) => {
    expect(monitorText({ ...clockMonitor('clock', { clearAfter }), evaluatedAt: null, results: [] })).toContain(text)
  })
})
