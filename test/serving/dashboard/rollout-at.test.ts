import { expect, it } from 'vitest'
import type { RolloutDecision } from '../../../registry/rollouts/decisions.ts'
import { gate } from '../../../registry/rollouts/plan-schema.ts'
import type { Rollout } from '../../../registry/rollouts/rollout.ts'
import { progressOf } from '../../../serving/dashboard/rollouts/gate-evidence.ts'
import { rolloutAt } from '../../../serving/dashboard/rollouts/rollout-at.ts'

const at = (minute: number): Date => new Date(Date.UTC(2001, 6, 1, 12, minute))
const rollout: Rollout = {
  id: 1,
  model: 'delay',
  version: 2,
  state: 'promoted',
  share: 1,
  unit: 'airport',
  salt: '',
  plan: null,
  step: 1,
  paused: false,
  revision: 9,
  since: at(50),
  startedBy: 'ann',
  startedAt: at(0),
  endedAt: at(50),
}
const decision = (minute: number, action: RolloutDecision['action'], step: number, shareAfter: number | null): RolloutDecision => ({
  id: minute,
  revision: minute,
  step,
  at: at(minute),
  since: at(minute),
  action,
  by: 'rollout controller',
  reasons: [],
  evidence: null,
  shareBefore: null,
  shareAfter,
})
const decisions = [
  decision(50, 'promote', 1, null),
  decision(40, 'hold', 1, 0.5),
  decision(30, 'resume', 1, 0.5),
  decision(20, 'pause', 1, 0.5),
  decision(10, 'advance', 0, 0.5),
  decision(0, 'start', 0, 0.1),
]

it.each([
  [5, { state: 'running', share: 0.1, step: 0, paused: false, since: at(0), endedAt: null }, 1],
  [15, { state: 'running', share: 0.5, step: 1, paused: false, since: at(10), endedAt: null }, 2],
  [25, { state: 'running', share: 0.5, step: 1, paused: true, since: at(20), endedAt: null }, 3],
  [45, { state: 'running', share: 0.5, step: 1, paused: false, since: at(30), endedAt: null }, 5],
  [55, { state: 'promoted', share: 1, step: 1, paused: false, since: at(50), endedAt: at(50) }, 6],
])('a rollout at minute %i is what its decisions until then made it', (minute, expected, count) => {
  const known = rolloutAt({ rollout, decisions }, at(minute))
  expect(known.rollout).toMatchObject(expected)
  expect(known.decisions).toHaveLength(count)
})

it.each([
  [5, 3, { share: 0.1, step: 0, paused: false }],
  [22, 1, { share: 0.5, step: 1, paused: true }],
])('a rollout at minute %i, before the %i newest changes that are known, is as the oldest one found it', (minute, newest, expected) => {
  const found = decisions.filter(({ action }) => action !== 'hold').slice(1, 1 + newest)
  const known = rolloutAt(
    { rollout, decisions: found.map((each) => ({ ...each, shareBefore: each.action === 'advance' ? 0.1 : 0.5 })) },
    at(minute),
  )
  expect(known.rollout).toMatchObject({ state: 'running', since: at(0), ...expected })
  expect(known.decisions).toEqual([])
})

it.each([
  ['errors', { candidate: { requests: 60, failed: 1 }, champion: { requests: 300, failed: 1 } }],
  ['times', { candidate: { from: [1, 2], to: [2, 3], counts: [20, 40] }, champion: { from: [1], to: [2], counts: [300] } }],
  ['outcomes', { candidate: { n: 900, spread: { entities: 10 } }, champion: { n: 900, spread: { entities: 300 } } }],
  ['features', { at: 1, entities: { candidate: 60, champion: 300 }, features: {} }],
])('the progress of a gate of %s is that of the side with fewer samples', (_, evidence) => {
  expect(progressOf(gate({ kind: 'errors', samples: 600 }), evidence)).toBe(0.1)
})
