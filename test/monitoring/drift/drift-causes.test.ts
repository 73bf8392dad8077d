import { describe, expect, it } from 'vitest'
import type { CauseEvidence } from '../../../monitoring/drift/drift-causes.ts'
import { causesText, isUnit, likelyCauses } from '../../../monitoring/drift/drift-causes.ts'
import type { ColumnDrift } from '../../../monitoring/drift/drift-types.ts'
import { parseBaseline } from '../../../monitoring/drift/parse-baseline.ts'
import { servicePlan } from '../../serving/plans.ts'

const drifted: Omit<ColumnDrift, 'causes'> = {
  column: 'lastDelay',
  kind: 'feature',
  type: 'float64',
  drifted: true,
  adjustedP: 0,
  effect: 1,
  harm: 1,
  mean: { baseline: 12, window: 12.5 },
  newCategories: [],
  untested: null,
  rows: { baseline: 1000, window: 1000 },
  missing: { baseline: 0, window: 0, reasons: [] },
  outOfRange: null,
  otherCategories: null,
  distances: null,
  test: null,
  bins: [],
}
const plan = servicePlan('route').uses[0]?.plan ?? null
const nothing: CauseEvidence = {
  view: plan,
  late: new Map(),
  changedViews: new Set(),
  volume: null,
  entityMix: null,
  requestFields: [],
  driftedFeatures: [],
}
const kinds = (column: Partial<ColumnDrift>, evidence: Partial<CauseEvidence> = {}) =>
  likelyCauses({ ...drifted, ...column }, { ...nothing, ...evidence }).map(({ kind }) => kind)

describe('the likely causes of a drift', () => {
  it('name the source where nothing else moved, and a unit by the ratio of means', () => {
    const [cause, ...more] = likelyCauses(
      { ...drifted, mean: { baseline: 12, window: 1190 } },
      { ...nothing, volume: { ratio: 1.1, text: '' } },
    )
    expect(more).toEqual([])
    expect(cause).toEqual({
      kind: 'source values changed',
      text: 'values moved while statuses, volume and entities did not, so the source "landings" has other values: the mean went from 12 to 1,190 (×99.2: did its unit change?)',
    })
  })

  it('name the source first where there are more rows, too: rows do not change a unit', () => {
    const causes = likelyCauses(
      { ...drifted, mean: { baseline: 12, window: 1200 } },
      { ...nothing, volume: { ratio: 2.1, text: 'rows rose' } },
    )
    expect(causesText(causes)).toBe(
      'values moved while statuses and entities did not, so the source "landings" has other values: the mean went from 12 to 1,200 (×100: did its unit change?); rows rose',
    )
    expect(kinds({}, { entityMix: 'other airports', volume: { ratio: 2.1, text: '' } })).toEqual([
      'mix of entities moved',
      'volume changed',
    ])
  })

  it('name the categories whose shares moved most', () => {
    const bins = [
      { label: '4', baseline: 0.149, window: 0 },
      { label: '1', baseline: 0.146, window: 0.14 },
      { label: '2', baseline: 0.146, window: 0.999 },
    ]
    const [cause] = likelyCauses(
      { ...drifted, mean: { baseline: 3, window: 2 }, otherCategories: { baseline: 0, window: 0 }, bins },
      { ...nothing, view: null },
    )
    expect(cause?.text).toBe(
      'values moved while statuses and entities did not, so request data, an input or the time of the requests changed: "2" went from 14.6 % to 99.9 % of rows, "4" went from 14.9 % to 0 % of rows',
    )
  })

  it('name each other thing that moved with its figures', () => {
    const reasons = [
      { status: 'NOT_FOUND', baseline: 0.01, window: 0.4 },
      { status: 'NULL_VALUE', baseline: 0.1, window: 0.11 },
    ]
    expect(likelyCauses({ ...drifted, missing: { baseline: 0.11, window: 0.51, reasons } }, nothing)).toEqual([
      { kind: 'statuses moved', text: 'NOT_FOUND went from 1 % to 40 % of rows' },
    ])
    expect(kinds({}, { late: new Map([[plan?.id ?? '', 'no run since noon']]) })).toEqual(['source late'])
    expect(kinds({}, { changedViews: new Set([plan?.id ?? '']) })).toEqual(['view changed'])
    expect(kinds({}, { volume: { ratio: 0.5, text: '' } })).toEqual(['source values changed', 'volume changed'])
    expect(kinds({}, { volume: { ratio: 1.3, text: '' } })).toEqual(['source values changed'])
    expect(kinds({}, { entityMix: 'other airports' })).toEqual(['mix of entities moved'])
    const requestFields = [{ text: 'the request field "amount" moved', unrelated: new Set(['weekday']) }]
    expect(kinds({}, { view: null, requestFields })).toEqual(['request fields moved'])
    expect(kinds({}, { requestFields })).toEqual(['source values changed'])
    // a field that does not move the feature is no cause of its drift
    expect(kinds({ column: 'weekday' }, { view: null, requestFields })).toEqual(['source values changed'])
    expect(kinds({ newCategories: ['XXX'], otherCategories: { baseline: 0, window: 0.1 } })).toEqual(['new categories'])
  })

  it('lead from an output to the features that drifted', () => {
    const of = (driftedFeatures: readonly string[]) => likelyCauses({ ...drifted, kind: 'output' }, { ...nothing, driftedFeatures })
    expect(of(['a', 'b'])).toEqual([{ kind: 'features drifted', text: '"a", "b" drifted' }])
    expect(of([])).toMatchObject([{ kind: 'unknown' }])
  })

  it('take powers of ten and usual factors for units, but no other ratio', () => {
    expect([100, 0.01, 1000, 60, 1 / 60, 3600, 1.609].map(isUnit)).not.toContain(false)
    expect([1, 1.2, 1.77, -1.609, 7, 0.14, 30, Number.POSITIVE_INFINITY].map(isUnit)).not.toContain(true)
  })
})

it('a baseline is read from its text, and an unknown one is refused by name', () => {
  expect(['training', 'previous:7d', 'same-hour-last-week', 'dataset:3f0c'].map(parseBaseline)).toEqual([
    { kind: 'training' },
    { kind: 'previous', micros: 7 * 86_400_000_000 },
    { kind: 'same-hour-last-week' },
    { kind: 'dataset', id: '3f0c' },
  ])
  for (const text of ['', 'previous', 'previous:', 'previous:soon', 'dataset:', 'last week'])
    expect(() => parseBaseline(text)).toThrow(
      expect.objectContaining({ code: 'INVALID_REQUEST', message: expect.stringContaining(`"${text}`) }),
    )
})
