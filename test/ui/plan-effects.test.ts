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
  breaks: [{ cause: 'feature view "a@1"', broken: 'model "m" version 3' }],
  problems: [{ code: 'CONFLICT', message: 'a@1 has changed.' }],
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
  })
  // and says why
  expect(Object.fromEntries(reasonsOf(effectsOf(read, { edges }), { edges }))).toEqual({
    'service s@1': 'By a@1 (refused).',
    'experiment e': 'By m (breaks). Variants that are versions of this model can no longer answer.',
    'dataset d': 'By s@1 (affected).',
  })
  expect(read.problems).toEqual(['a@1 has changed.'])
  expect(read.breaks).toEqual(['model "m" version 3, by the feature view "a@1"'])
  expect(read.changes[0]?.says).toBe('a@1. Its version must be raised to 2.')
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
