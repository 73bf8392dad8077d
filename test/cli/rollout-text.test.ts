import { expect, it } from 'vitest'
import { rolloutChangeText, rolloutText } from '../../cli/text/rollout-text.ts'

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
  plan: { steps: [0.05, 1].map((share) => ({ share, atLeast: '1h', samples: 100 })), gates: [{ kind: 'errors' }], every: '10s' },
} as const

const textOf = (shown: Parameters<typeof rolloutText>[1]['rollout']) =>
  rolloutText('fraud', { pinned: null, serves: 1, rollout: shown, hold: null, decisions: [] }, Date.parse('2026-03-01T12:01:00Z'))

it('a rollout that has ended shows its last step without the moment of its end', () => {
  expect(textOf(rollout)).toContain('step       1 of 2 since 2026-03-01 12:00:26 UTC, at least 1 h and 100 rows\n')
  const end = '2026-03-01T12:00:34Z'
  const ended = textOf({ ...rollout, state: 'rolled back', endedAt: end, since: end })
  expect(ended).toContain('last step  1 of 2\n')
  expect(ended).toContain('ended: rolled back at 2026-03-01 12:00:34 UTC')
})

it('a rollout says that no worker asks its gates, once that has lasted longer than a takeover', () => {
  const at = (time: string, more: Partial<Parameters<typeof rolloutText>[1]> = {}) =>
    rolloutText('fraud', { pinned: null, serves: 1, rollout, hold: null, decisions: [], ...more }, Date.parse(time))
  expect(at('2026-03-01T12:02:50Z')).not.toContain('unattended')
  expect(at('2026-03-01T12:05:26Z')).toContain('unattended no worker has asked the gates for 5 min: run lockstep worker')
  const look = {
    id: 1,
    step: 0,
    at: '2026-03-01T12:04:26Z',
    by: 'rollout controller',
    action: 'hold',
    reasons: [],
    shareBefore: 1,
    shareAfter: 1,
  }
  expect(at('2026-03-01T12:05:26Z', { decisions: [look] })).not.toContain('unattended')
  expect(at('2026-03-01T12:05:26Z', { pinned: 1 })).not.toContain('unattended')
  expect(at('2026-03-01T12:05:26Z', { rollout: { ...rollout, paused: true } })).not.toContain('unattended')
  expect(at('2026-03-01T13:05:26Z', { rollout: { ...rollout, plan: { ...rollout.plan, every: '1h' } } })).not.toContain('unattended')
})

it('a paused rollout says which share its plan gives it again when it resumes', () => {
  const text = rolloutChangeText({ rollout: { ...rollout, paused: true, share: 0.2 }, notes: [] })
  expect(text).toBe(
    'The plan of fraud@2 is paused. It keeps 20 % of the requests without a version.\n' +
      '"lockstep rollout resume fraud" begins step 1 again, with 5 %.',
  )
})

it('a rollout that holds says since when, why, and what to do next', () => {
  const hold = { since: '2026-03-01T12:00:40Z', reasons: ['latency: It is slow.', 'load: It is busy.'], todo: 'Promote it, or abort it.' }
  const text = rolloutText('fraud', { pinned: null, serves: 1, rollout, hold, decisions: [] }, Date.parse('2026-03-01T12:01:00Z'))
  expect(text).toContain('\nholds      since 2026-03-01 12:00:40 UTC. latency: It is slow.\nto do      Promote it, or abort it.\n')
  expect(textOf(rollout)).not.toMatch(/^(holds|to do)/m)
})
