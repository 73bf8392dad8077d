import { expect, it } from 'vitest'
import { statisticsText } from '../../cli/text/model-statistics-text.ts'
import type { ModelStatistics, TrafficFigures } from '../../monitoring/rollups/model-statistics.ts'

const none = { mean: null, p50: null, p95: null, p99: null }
const figures: TrafficFigures = {
  requests: 0,
  rows: 0,
  sampledRows: 0,
  cacheHits: 0,
  errors: {},
  bypassed: {},
  latencyMs: { total: none, wait: none, features: none, run: none },
}

function hours(measured: readonly boolean[]): ModelStatistics {
  return {
    model: 'fraud',
    from: '2026-03-01T00:00:00Z',
    to: `2026-03-01T0${measured.length}:00:00Z`,
    total: { ...figures, entities: 0, columns: {} },
    groups: [],
    series: measured.map((is, hour) => ({ at: `2026-03-01T0${hour}:00:00Z`, of: null, figures: is ? figures : null })),
    processes: { cpuSeconds: 0, errors: {} },
    coverage: { minutes: measured.filter(Boolean).length * 60, missing: [] },
  }
}

it('a series starts with the first period that has figures, and names the time before it in a line', () => {
  const text = statisticsText(hours([false, false, false, true, false]), true)
  expect(text).toContain('\n\nNo server was measured from 2026-03-01 00:00:00 to 2026-03-01 03:00:00 UTC.\n\nFROM (UTC)')
  expect(text).toMatch(/^2026-03-01 03:00:00 +0 .*\n2026-03-01 04:00:00 +unknown$/m)
  expect(text.match(/unknown/g)).toHaveLength(1)
})

it('a series that starts with figures has only its table', () => {
  expect(statisticsText(hours([true, false, true]), true)).toMatch(/UTC\n\nFROM \(UTC\)/)
})

it('a series without figures is one line', () => {
  const text = statisticsText(hours([false, false]), true)
  expect(text).toMatch(/^model fraud, .* UTC\n\nNo server process wrote a minute in this window\. /)
  expect(text.split('\n')).toHaveLength(3)
})
