import { expect, it } from 'vitest'
import { effectsOf, impactQuery, readPlan, reasonsOf } from '../../ui/pages/plan-effects.ts'

const change = (kind: string, label: string, status: string, more: object = {}) => ({ kind, label, status, summary: label, ...more })
const plan = {
  changes: [
    change('view', 'a@1', 'conflict', { nextVersion: 2 }),
    change('view', 'b@1', 'unchanged'),
    change('service', 's@1', 'unchanged'),
    change('service', 't@1', 'unchanged'),
    change('model', 'm', 'changed'),
    change('view', 'c@1', 'added'),
  ],
  backfills: [
    { view: 'b@1', reason: 'the view becomes online' },
    { view: 'c@1', reason: 'the view is new' },
  ],
  file: 'my features.ts',
  breaks: [
    { cause: 'feature view "a@1"', broken: 'model "m" version 3' },
    { cause: 'feature view "d@1"', broken: 'model "m" version 3' },
    { cause: 'feature view "a@1"', broken: 'outcome "o"' },
    { cause: 'feature view "a@1"', broken: 'on-demand view "f@1"' },
  ],
  problems: [
    { code: 'MODEL_BROKEN', message: 'The model breaks. Push a version that fits first.' },
    {
      code: 'VERSION_CHANGED',
      message: 'The view "a@1" differs:\n    ttl was 2d, now 3d\n    ttl was 2d, now 3d\n  Give it version 2.',
      details: { nextVersion: 2 },
    },
  ],
}
const edges = [
  ['view a@1', 'service s@1'],
  ['service s@1', 'model m'],
  ['model m', 'experiment e'],
  ['service s@1', 'dataset d'],
  ['view c@1', 'service t@1'],
].map(([from = '', to = '']) => ({ from, to }))

it('a plan gives each definition its effect, and what is made from a refused one is affected', () => {
  const read = readPlan(JSON.stringify(plan))
  expect(Object.fromEntries(effectsOf(read, { edges }))).toEqual({
    'view a@1': 'refused',
    'view b@1': 'recomputed',
    'view c@1': 'new version',
    'service s@1': 'affected',
    'service t@1': 'unchanged',
    'model m': 'breaks',
    'experiment e': 'affected',
    'dataset d': 'affected',
    'modelVersion m@3': 'breaks',
    'outcome o': 'breaks',
    'onDemand f@1': 'breaks',
  })
  // and says why
  expect(Object.fromEntries(reasonsOf(effectsOf(read, { edges }), { edges }))).toEqual({
    'service s@1': 'By a@1 (refused).',
    'model m': 'By s@1 (affected).',
    'experiment e': 'By m (breaks). Variants that are versions of this model can no longer answer.',
    'dataset d': 'By s@1 (affected).',
  })
  expect(read.breaks).toEqual([
    { broken: 'model "m" version 3', causes: ['feature view "a@1"', 'feature view "d@1"'] },
    { broken: 'outcome "o"', causes: ['feature view "a@1"'] },
    { broken: 'on-demand view "f@1"', causes: ['feature view "a@1"'] },
  ])
  expect(read.changes[0]?.says).toBe('a@1. Its version must be raised to 2.')
})

it('a plan says for each refusal what to do, apart from what it breaks', () => {
  expect(readPlan(JSON.stringify(plan)).refusals).toEqual([
    { what: 'The model breaks. Push a version that fits first.', details: [], todo: null },
    {
      what: 'The view "a@1" differs:',
      details: ['ttl was 2d, now 3d'],
      todo: 'Give it version 2.',
    },
  ])
  expect(readPlan(JSON.stringify(plan)).raise).toBe("lockstep plan 'my features.ts' --bump --write")
  expect(readPlan(JSON.stringify({ ...plan, problems: [] }))).toMatchObject({ refusals: [], raise: null })
})

it.each([
  ['{', 'This is not JSON.'],
  ['{"rows":1}', 'it has no "changes"'],
  ['[]', 'it has no "changes"'],
  [' '.repeat(5_000_001), 'longer than 5,000,000 characters'],
])('a text that is no plan is refused: %.20s', (text, why) => {
  expect(() => readPlan(text)).toThrow(why)
})

it('a plan with more changes than fit into a request asks for those that fit, and says so', () => {
  const keysOf = (count: number) => {
    const changes = Array.from({ length: count }, (_, i) => change('view', `ansichten_für_flüge_${i}@1`, 'added'))
    const { query, isCut } = impactQuery(readPlan(JSON.stringify({ changes })))
    expect(query.length).toBeLessThanOrEqual(6000)
    return { keys: new URLSearchParams(query).get('of')?.split('\n') ?? [], isCut }
  }
  expect(keysOf(100)).toEqual({ keys: Array.from({ length: 100 }, (_, i) => `view ansichten_für_flüge_${i}@1`), isCut: false })
  const { keys, isCut } = keysOf(1000)
  expect(isCut).toBe(true)
  expect(keys.at(-1)).toBe(`view ansichten_für_flüge_${keys.length - 1}@1`)
})
