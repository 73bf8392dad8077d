import { expect, it } from 'vitest'
import { shadowChangeText, shadowReportText } from '../../cli/text/shadow-text.ts'
import { comparePairs } from '../../monitoring/shadow/compare-pairs.ts'
import type { LoggedPair } from '../../monitoring/shadow/logged-pairs.ts'
import type { ShadowReport } from '../../monitoring/shadow/shadow-report.ts'

const pairs = Array.from({ length: 40 }, (_, row): LoggedPair => {
  const features = { amount: row, country: row % 2 === 0 ? 'DE' : 'FR' }
  const { id, at } = { id: `r${row}`, at: row }
  return {
    at,
    predictionId: `${id}.shadow/0`,
    championId: `${id}/0`,
    championVersion: 3,
    service: 'fraud_features@1',
    asOf: 0,
    keys: { card: `o'${row}` },
    champion: { probabilities: [0.6, 0.4] },
    candidate: { probabilities: row >= 30 ? [0.25, 0.75] : [0.6, 0.4] },
    championFeatures: features,
    candidateFeatures: row === 0 ? { ...features, amount: 7 } : features,
  }
})

const shadow = {
  id: 1,
  model: 'fraud',
  version: 4,
  state: 'running',
  share: 0.2,
  unit: 'card',
  salt: 'ab',
  tolerance: 0.01,
  startedBy: 'root',
  startedAt: '2026-03-01T10:00:00.000Z',
  endedAt: null,
} as const
const report: ShadowReport = {
  model: 'fraud',
  shadow,
  comparison: {
    from: '2026-03-01T10:00:00Z',
    to: '2026-03-01T11:00:00Z',
    logged: 50,
    pairs: pairs.length,
    ...comparePairs(pairs, [{ name: 'probabilities', type: { kind: 'vector', length: 2 } }], { tolerance: 0.01, threshold: undefined }),
    traffic: {
      shadow: { version: 4, role: 'shadow', requests: 40, rows: 40, features: { p50: null, p99: null }, run: { p50: 0.5, p99: 2 } },
      dropped: 3,
      errors: { MODEL_TIMEOUT: 2 },
      answered: [{ version: 3, role: 'champion', requests: 200, rows: 200, features: { p50: 0.3, p99: 1 }, run: { p50: 0.4, p99: 1.5 } }],
    },
    notes: ['The log lacks the answer to some rows of the shadow; they are not compared.'],
  },
}

it('shows how a shadow differs, where, how often it failed, and how to look at an example', () => {
  const text = shadowReportText(report)
  for (const line of [
    /^candidate {2}fraud@4$/m,
    /^compared {3}40 rows of 50 that are logged, of 40 entities$/m,
    /^probabilities\s+share beyond 0\.01\s+0\.25\s+0\.14\d? to 0\.40\d?\s+40$/m,
    /^probabilities\s+share decided otherwise at 0\.5\s+0\.25 /m,
    /^probabilities\s+difference, 99 % are at most\s+0\.35\s/m,
    /^amount\s+\d+(\.\d+)? %\s/m,
    /^amount\s+2\.5 %\s+40$/m,
    /^@4\s+shadow\s+40\s+40\s+-\s+0\.5 \/ 2 ms$/m,
    /^dropped: 3 requests for which servers had no time; failed: MODEL_TIMEOUT 2$/m,
    /^r30\.shadow\/0\s+0\.35\s+@3: \[0\.6,0\.4\]\s+\[0\.25,0\.75\]$/m,
    /lockstep predictions list --prediction r30\.shadow\/0 /,
    /lockstep explain r30\.shadow\/0$/m,
    /^note: The log lacks/m,
  ])
    expect(text).toMatch(line)
  expect(shadowReportText({ model: 'fraud', shadow: null, comparison: null })).toBe('The model fraud has had no shadow.')
  expect(shadowChangeText({ shadow, servers: { asked: 2, loaded: 1 } })).toContain('fraud@4 also runs 20 % of the requests')
})
