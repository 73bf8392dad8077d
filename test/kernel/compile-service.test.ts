import { describe, expect, it } from 'vitest'
import { compileService } from '../../kernel/compile-service.ts'
import { compileView } from '../../kernel/compile-view.ts'
import type { OnDemandSpec, ServiceSpec } from '../../kernel/service-spec.ts'
import { statusNames } from '../../kernel/state.ts'
import type { FeatureSpec, ViewSpec } from '../../kernel/view-spec.ts'
import { viewSpec } from './view-oracle.ts'

const latest = (name: string, column: string, extra: Partial<FeatureSpec> = {}): FeatureSpec =>
  ({
    kind: 'latest',
    name,
    type: { kind: column === 'f' ? 'float64' : 'int32' },
    column,
    ttlMicros: null,
    default: null,
    required: false,
    ...extra,
  }) as FeatureSpec
const delays: ViewSpec = viewSpec('delays', [latest('i', 'i'), latest('f', 'f', { default: 0.5 })], { kind: 'continuous' })
const plan = compileView({ spec: delays, code: null, fingerprint: 'v' })
const views = new Map([[plan.id, plan]])
const context: OnDemandSpec = {
  name: 'context',
  version: 1,
  request: [{ name: 'distance', type: { kind: 'int32' } }],
  inputs: [{ name: 'from', use: { view: 'delays@1', alias: null, key: ['thing'] } }],
  features: [
    { name: 'far', type: { kind: 'float64' }, default: null, required: false },
    { name: 'asOf', type: { kind: 'timestamp' }, default: null, required: false },
  ],
  code: 'c',
}
const code = '({ request, from, asOf }) => ({ far: from.i === null ? null : request.distance + from.i + from.f, asOf })'
const onDemand = new Map([['context@1' as const, { spec: context, code }]])
const use = (alias: string | null, column: string): { view: 'delays@1'; alias: string | null; key: string[] } => ({
  view: 'delays@1',
  alias,
  key: [column],
})
const service = (members: ServiceSpec['members'], onDemandCode = code) =>
  compileService({
    spec: { name: 'svc', version: 2, members },
    fingerprint: 's',
    views,
    onDemand: new Map([['context@1', { spec: context, code: onDemandCode }]]),
  })

describe('a compiled service', () => {
  it('lists what a spine must carry and reads each view once per key mapping', () => {
    const compiled = service([
      { kind: 'view', use: use(null, 'thing'), features: ['i', 'f'] },
      { kind: 'view', use: use('other', 'second'), features: ['i'] },
      { kind: 'onDemand', view: 'context@1', features: ['far'] },
    ])
    expect(compiled.keys.map((k) => k.name)).toEqual(['thing', 'second'])
    expect(compiled.request.map((r) => r.name)).toEqual(['distance'])
    expect(compiled.uses).toHaveLength(2)
    expect(compiled.features.map(({ name, nullable }) => [name, nullable])).toEqual([
      ['i', true],
      ['f', false],
      ['other__i', true],
      ['far', true],
    ])
  })

  it('evaluates views and on-demand code over the same values', () => {
    const compiled = service([
      { kind: 'onDemand', view: 'context@1', features: ['asOf', 'far'] },
      { kind: 'view', use: use(null, 'thing'), features: ['f'] },
    ])
    const state = plan.newState()
    const row = plan.fold(1000, null, 1, [3, null, null, null])
    if (row === null) throw new Error('the row counts')
    expect(compiled.evaluate([state.valueAt(2000)], [100], 2000).values).toEqual([2000, null, 0.5])
    state.add(row, 2000)
    const answer = compiled.evaluate([state.valueAt(2000)], [100], 2000)
    expect(answer.values).toEqual([2000, 103.5, 0.5])
    expect(answer.statuses.map((s) => statusNames[s])).toEqual(['PRESENT', 'PRESENT', 'NULL_VALUE'])
    expect(answer.eventTimes).toEqual([null, null, 1000])
  })

  it('names both views where two features have one name', () => {
    expect(() =>
      service([
        { kind: 'view', use: use(null, 'thing'), features: ['i'] },
        { kind: 'view', use: use(null, 'second'), features: ['i'] },
      ]),
    ).toThrow(
      expect.objectContaining({ code: 'FEATURE_NAME_CLASH', message: expect.stringMatching(/"i".*"delays@1".*"delays@1"/) as string }),
    )
  })

  it('refuses a feature that has the name of a key', () => {
    expect(() => service([{ kind: 'view', use: use(null, 'i'), features: ['i'] }])).toThrow(
      expect.objectContaining({ code: 'FEATURE_NAME_CLASH' }),
    )
  })

  it('refuses a feature or a view that is not there', () => {
    expect(() => service([{ kind: 'view', use: use(null, 'thing'), features: ['nope'] }])).toThrow(
      expect.objectContaining({ code: 'UNKNOWN_FEATURE' }),
    )
    expect(() =>
      compileService({
        spec: { name: 's', version: 1, members: [{ kind: 'view', use: use(null, 'thing'), features: ['i'] }] },
        fingerprint: '',
        views: new Map(),
        onDemand,
      }),
    ).toThrow(expect.objectContaining({ code: 'UNKNOWN_DEFINITION' }))
  })

  it('says which view failed, at which moment, and why', () => {
    const broken = service([{ kind: 'onDemand', view: 'context@1', features: ['far'] }], '() => ({ far: "x", asOf: null })')
    expect(() => broken.evaluate([plan.newState().valueAt(0)], [1], 0)).toThrow(
      /"context@1" failed for the moment 1970-01-01T00:00:00Z: "far" is "x", which is not float64/,
    )
  })
})
