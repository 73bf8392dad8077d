import { expect, it } from 'vitest'
import { rolloutText } from '../../cli/rollout-text.ts'

const rollout = {
  model: 'fraud',
  version: 2,
  state: 'running',
  share: 0.05,
  unit: 'request',
  salt: 's',
  step: 0,
  paused: false,
  startedBy: 'ann',
  startedAt: '2026-03-01T12:00:00Z',
  endedAt: null,
  since: '2026-03-01T12:00:26Z',
  plan: { steps: [0.05, 1].map((share) => ({ share, atLeast: '1h', samples: 100 })), gates: [{ kind: 'errors' }] },
} as const

const textOf = (shown: Parameters<typeof rolloutText>[1]['rollout']) =>
  rolloutText('fraud', { pinned: null, serves: 1, rollout: shown, decisions: [] })

it('a rollout that has ended shows its last step without the moment of its end', () => {
  expect(textOf(rollout)).toContain('step       1 of 2 since 2026-03-01 12:00:26 UTC, at least 1 h and 100 rows\n')
  const end = '2026-03-01T12:00:34Z'
  const ended = textOf({ ...rollout, state: 'rolled back', endedAt: end, since: end })
  expect(ended).toContain('last step  1 of 2\n')
  expect(ended).toContain('ended: rolled back at 2026-03-01 12:00:34 UTC')
})
