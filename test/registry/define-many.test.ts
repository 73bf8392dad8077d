import { describe, expect, it } from 'vitest'
import { compileView } from '../../kernel/compile-view.ts'
import type { LockstepError } from '../../kernel/errors.ts'
import type { ViewSpec } from '../../kernel/specs/view-spec.ts'
import { entity, featureView, firstN, histogram, lastDistinctN, lastN, model, onDemandView, source, t, topK } from '../../index.ts'
import { viewFingerprint } from '../../registry/fingerprint.ts'
import { load } from './definition-files.ts'

const card = entity('card', { key: { card: t.string } })
const payments = source('payments', {
  key: { card: 'card' },
  eventTime: 'at',
  columns: { amount: t.float64, merchant: t.string, terminal: t.int64, place: t.vector(2) },
})
const base = { version: 1, entity: card, source: payments }
const [hour, minute] = [3_600_000_000, 60_000_000]

/** As JavaScript may call it. */
function view(features: object): () => { readonly spec: Omit<ViewSpec, 'code'> } {
  return () => featureView('v', { ...base, features: features as Record<string, never> })
}

function errorOf(run: () => unknown): LockstepError {
  try {
    run()
  } catch (error) {
    return error as LockstepError
  }
  throw new Error('It was accepted.')
}

describe('a feature of many values', () => {
  it('becomes a plain spec with its numbers, its type and its default as JSON', () => {
    const { spec } = view({
      merchants: lastN('merchant', 5, '1h', { default: ['none', null], hop: '1m' }),
      terminals: firstN('terminal', 2, '1h', { default: [5n] }),
      distinct: lastDistinctN('amount', 4, '1h', { default: [1] }),
      top: topK('merchant', 3, '1h'),
      counts: histogram('merchant', '1h', {
        cap: 100,
        default: new Map([
          ['b', 2],
          ['a', 1],
        ]),
        required: true,
      }),
    })()
    const window = { kind: 'window', windowMicros: hour, hopMicros: 5 * minute, default: null, required: false }
    expect(spec.features).toEqual([
      {
        ...window,
        name: 'merchants',
        aggregate: 'lastN',
        column: 'merchant',
        n: 5,
        type: { kind: 'list', of: t.string, nulls: true },
        hopMicros: minute,
        default: ['none', null],
      },
      {
        ...window,
        name: 'terminals',
        aggregate: 'firstN',
        column: 'terminal',
        n: 2,
        type: { kind: 'list', of: t.int64, nulls: true },
        default: ['5'],
      },
      {
        ...window,
        name: 'distinct',
        aggregate: 'lastDistinctN',
        column: 'amount',
        n: 4,
        type: { kind: 'list', of: t.float64, nulls: false },
        default: [1],
      },
      {
        ...window,
        name: 'top',
        aggregate: 'topK',
        column: 'merchant',
        n: 3,
        cap: 1000,
        type: { kind: 'list', of: t.string, nulls: false },
      },
      {
        ...window,
        name: 'counts',
        aggregate: 'histogram',
        column: 'merchant',
        cap: 100,
        type: { kind: 'counts' },
        default: { a: 1, b: 2 },
        required: true,
      },
    ])
    expect(JSON.parse(JSON.stringify(spec))).toEqual(spec)
    const stored = compileView({ spec: { ...JSON.parse(JSON.stringify(spec)), code: null }, code: null, fingerprint: 'f' })
    expect(stored.newState().valueAt(0).values).toEqual([
      ['none', null],
      [5n],
      [1],
      null,
      new Map([
        ['a', 1],
        ['b', 2],
      ]),
    ])
  })

  it('has another fingerprint with another number, cap or default', () => {
    const variants = [
      topK('merchant', 3, '1h'),
      topK('merchant', 4, '1h'),
      topK('merchant', 3, '1h', { cap: 999 }),
      topK('merchant', 3, '1h', { default: [] }),
      topK('merchant', 3, '1h', { default: ['a'] }),
      firstN('merchant', 3, '1h'),
      lastN('merchant', 3, '1h'),
      lastDistinctN('merchant', 3, '1h'),
    ]
    const prints = variants.map((x) => viewFingerprint({ ...view({ x })().spec, code: null }))
    expect(new Set(prints).size).toBe(variants.length)
    expect(viewFingerprint({ ...view({ x: topK('merchant', 3, '1h', { cap: 1000 }) })().spec, code: null })).toBe(prints[0])
  })

  const refused: [what: string, run: () => unknown, code: string, parts: string[]][] = [
    ['no rows at all', view({ x: lastN('merchant', 0, '1h') }), 'DEFINITIONS_INVALID', ['"x"', '"v"', 'lastN of 0', '1 to 1000']],
    ['too many rows', view({ x: firstN('merchant', 1001, '1h') }), 'DEFINITIONS_INVALID', ['firstN of 1001', '1 to 1000']],
    ['distinct vectors', view({ x: lastDistinctN('place', 1, '1h') }), 'INVALID_TYPE', ['"place"', 'all types but vectors']],
    ['too many distinct values', view({ x: lastDistinctN('merchant', 1001, '1h') }), 'DEFINITIONS_INVALID', ['lastDistinctN of 1001']],
    ['half a value', view({ x: topK('merchant', 1.5, '1h') }), 'DEFINITIONS_INVALID', ['topK of 1.5']],
    ['a cap of none', view({ x: histogram('merchant', '1h', { cap: 0 }) }), 'DEFINITIONS_INVALID', ['"x"', 'cap of 0', '1 to 10000']],
    ['a cap of too many', view({ x: topK('merchant', 1, '1h', { cap: 10_001 }) }), 'DEFINITIONS_INVALID', ['cap of 10001']],
    ['a list of vectors', view({ x: lastN('place', 1, '1h') }), 'INVALID_TYPE', ['"place"', 'vector(2)', 'all types but vectors']],
    [
      'categories of floats',
      view({ x: histogram('amount', '1h') }),
      'INVALID_TYPE',
      ['"amount"', 'float64', 'strings, bools and integers'],
    ],
    [
      'a null in topK',
      view({ x: topK('merchant', 1, '1h', { default: [null] }) }),
      'INVALID_TYPE',
      ['"x"', 'an array of 1', 'list(string)'],
    ],
    ['an object for a map', view({ x: histogram('merchant', '1h', { default: {} as never }) }), 'INVALID_TYPE', ['"x"', 'counts']],
    [
      'a column of such a type',
      () => source('s', { key: {}, eventTime: 'at', columns: { x: t.list(t.string) as never } }),
      'INVALID_TYPE',
      ['"x"', 'list(string)', 'only a feature'],
    ],
    ['a key of such a type', () => entity('e', { key: { x: t.counts as never } }), 'INVALID_TYPE', ['"x"', 'counts']],
    ['a list of lists', () => t.list(t.list(t.string) as never), 'INVALID_TYPE', ['an object', 't.list(t.string)']],
    [
      'an output of such a type',
      () => model('m', { service: undefined as never, output: { x: t.counts as never } }),
      'DEFINITIONS_INVALID',
      ['service'],
    ],
  ]
  for (const [what, run, code, parts] of refused) {
    it(`is refused for ${what}`, () => {
      const error = errorOf(run)
      expect(error.code).toBe(code)
      for (const part of parts) expect(error.message).toContain(part)
    })
  }

  const changing = (change: string): string => `import { entity, featureView, histogram, onDemandView, source, t, topK } from 'lockstep'
const card = entity('card', { key: { card: t.string } })
const payments = source('payments', { key: { card: 'card' }, eventTime: 'at', columns: { merchant: t.string } })
export const habits = featureView('habits', {
  version: 1, entity: card, source: payments,
  features: { top: topK('merchant', 3, '24h', { default: [] }), tally: histogram('merchant', '24h', { default: new Map() }) },
})
export const context = onDemandView('context', {
  version: 1, inputs: { past: habits }, features: { seen: t.list(t.string), tally: t.counts },
  transform: ({ past }) => { ${change}; return { seen: past.top, tally: past.tally } },
})`

  it('is refused if a transform changes a list or map input in place', async () => {
    for (const change of ['(past.top as string[]).sort()', "(past.tally as Map<string, number>).set('x', 1)"]) {
      await expect(load({ 'features.ts': changing(change) })).rejects.toMatchObject({
        code: 'TRANSFORM_IMPURE',
        message: expect.stringContaining('changes its input'),
      })
    }
    const { views } = await load({ 'features.ts': changing('[...past.top].sort()') })
    expect(views[0]?.spec.features.map(({ name }) => name)).toEqual(['top', 'tally'])
  })

  it('is refused if a transform returns another type of list', async () => {
    await expect(
      load({ 'features.ts': changing('if (past.top.length > 1) return { seen: [1] as never, tally: past.tally }') }),
    ).rejects.toMatchObject({
      code: 'TRANSFORM_FAILED',
      message: expect.stringContaining('returned an array of 1 for "seen", which is not list(string)'),
    })
  })

  it('has types that on-demand views may give, too', () => {
    const { spec } = onDemandView('basket', {
      version: 1,
      features: { brands: t.list(t.string), tally: { type: t.counts, default: new Map([['none', 1]]) } },
      transform: () => ({ brands: [], tally: null }),
    })
    expect(spec.features).toEqual([
      { name: 'brands', type: { kind: 'list', of: { kind: 'string' }, nulls: false }, default: null, required: false },
      { name: 'tally', type: { kind: 'counts' }, default: { none: 1 }, required: false },
    ])
  })
})
