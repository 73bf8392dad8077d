import { describe, expect, it } from 'vitest'
import { columnKeys } from '../../kernel/column-keys.ts'
import { compileService } from '../../kernel/compile-service.ts'
import { compileView } from '../../kernel/compile-view.ts'
import type { OnDemandSpec, ServiceSpec } from '../../kernel/specs/service-spec.ts'
import { statusNames } from '../../kernel/states/state.ts'
import type { FeatureSpec, ViewSpec } from '../../kernel/specs/view-spec.ts'
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
  it('lists the columns of a spine and reads each view once per key mapping', () => {
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

  it('counts the entities of a feature by the key of its view, or of all its inputs', () => {
    const compiled = service([
      { kind: 'view', use: use(null, 'second'), features: ['i'] },
      { kind: 'view', use: use('other', 'thing'), features: ['i'] },
      { kind: 'view', use: use('again', 'second'), features: ['f'] },
      { kind: 'onDemand', view: 'context@1', features: ['far'] },
    ])
    const { list, ofFeature } = columnKeys(compiled)
    expect(list.map(({ name, columns }) => [name, columns])).toEqual([
      ['second', ['second']],
      ['thing', ['thing']],
    ])
    expect(compiled.features.map(({ name }, f) => [name, ofFeature[f]])).toEqual([
      ['i', 0],
      ['other__i', 1],
      ['again__f', 0],
      ['far', 1],
    ])
    // inputs with several keys, or none, count by the first
    const features = [[0, 1], [1, 1], []].map((inputs) => ({ inputs }))
    expect(columnKeys({ uses: compiled.uses, features }).ofFeature).toEqual([0, 1, 0])
    expect(columnKeys({ uses: [], features })).toEqual({ list: [{ name: '', use: 0, columns: [] }], ofFeature: [0, 0, 0] })
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

  it('names both views if two features have the same name', () => {
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

  it('names the view that failed, with the moment and the reason', () => {
    const broken = service([{ kind: 'onDemand', view: 'context@1', features: ['far'] }], '() => ({ far: "x", asOf: null })')
    expect(() => broken.evaluate([plan.newState().valueAt(0)], [1], 0)).toThrow(
      /"context@1" failed for the moment 1970-01-01T00:00:00Z: "far" is "x", which is not float64/,
    )
  })
})

describe('on-demand views with on-demand inputs', () => {
  const feature = (name: string, extra: object = {}) => ({
    name,
    type: { kind: 'float64' as const },
    default: null,
    required: false,
    ...extra,
  })
  const sum: OnDemandSpec = {
    name: 'sum',
    version: 1,
    request: [{ name: 'extra', type: { kind: 'float64' } }],
    inputs: [{ name: 'context', onDemand: 'context@1', features: ['far'] }],
    features: [feature('total', { required: true })],
    code: 's',
  }
  const last: OnDemandSpec = {
    ...sum,
    name: 'last',
    request: [],
    inputs: [
      { name: 'sum', onDemand: 'sum@1' },
      { name: 'context', onDemand: 'context@1' },
      { name: 'from', use: use(null, 'thing'), features: ['i'] },
    ],
    features: [feature('seen'), feature('doubled', { default: -1 })],
  }
  const codeOfSum = '({ request, context }) => ({ total: context.far === null ? null : context.far + request.extra })'
  const codeOfLast =
    '({ sum, context, from }) => ({ seen: Object.keys(from).length + Object.keys(context).length / 10, doubled: sum.total * 2 })'
  const chained = (members: ServiceSpec['members']) =>
    compileService({
      spec: { name: 'svc', version: 1, members },
      fingerprint: 's',
      views,
      onDemand: new Map([
        ['last@1', { spec: last, code: codeOfLast }],
        ['sum@1', { spec: sum, code: codeOfSum }],
        ['context@1', { spec: context, code }],
      ]),
    })
  const compiled = chained([{ kind: 'onDemand', view: 'last@1', features: ['doubled', 'seen'] }])
  const stateOf = (...rows: readonly number[]) => {
    const state = plan.newState()
    for (const [i, value] of rows.entries()) state.add(plan.fold(1000 + i, null, i, [value, null, null, null]) as never, 2000)
    return state.valueAt(2000)
  }

  it('need the inputs of all of them, and read each view once', () => {
    expect(compiled.keys.map(({ name }) => name)).toEqual(['thing'])
    expect(compiled.request.map(({ name }) => name)).toEqual(['extra', 'distance'])
    expect(compiled.uses).toHaveLength(1)
  })

  it('are computed in order, each from its declared inputs only', () => {
    const answer = compiled.evaluate([stateOf(3)], [7, 100], 2000)
    expect(answer.values).toEqual([2 * (100 + 3 + 0.5 + 7), 1.2])
    expect(answer.missing).toEqual([])
  })

  it('are not called without required inputs, and use their defaults then', () => {
    expect(compiled.required).toEqual(['sum@1.total'])
    const answer = compiled.evaluate([stateOf()], [7, 100], 2000)
    expect(answer.values).toEqual([-1, null])
    expect(answer.statuses.map((status) => statusNames[status])).toEqual(['NULL_VALUE', 'NULL_VALUE'])
    expect(answer.missing).toEqual(['sum@1.total'])
  })

  it('name a required feature by its own name if the service has it', () => {
    const both = chained([
      { kind: 'onDemand', view: 'last@1', features: ['doubled'] },
      { kind: 'onDemand', view: 'sum@1', features: ['total'] },
    ])
    expect(both.required).toEqual(['total'])
    expect(both.evaluate([stateOf()], [7, 100], 2000).missing).toEqual(['total'])
  })

  it('refuse an input that is not there, and a feature that it lacks', () => {
    const broken = (input: OnDemandSpec['inputs'][number]) =>
      compileService({
        spec: { name: 'svc', version: 1, members: [{ kind: 'onDemand', view: 'sum@1', features: ['total'] }] },
        fingerprint: 's',
        views,
        onDemand: new Map([
          ['sum@1', { spec: { ...sum, inputs: [input] }, code: codeOfSum }],
          ['context@1', { spec: context, code }],
        ]),
      })
    expect(() => broken({ name: 'context', onDemand: 'gone@1' })).toThrow(expect.objectContaining({ code: 'UNKNOWN_DEFINITION' }))
    expect(() => broken({ name: 'context', onDemand: 'context@1', features: ['nope'] })).toThrow(
      expect.objectContaining({ code: 'UNKNOWN_FEATURE' }),
    )
  })
})
