import { describe, expect, it } from 'vitest'
import type { LockstepError } from '../../index.ts'
import { count, entity, featureService, featureView, last, max, mean, min, model, onDemandView, source, sum, t } from '../../index.ts'
import { definitionKind } from '../../registry/define/definition.ts'

const airport = entity('airport', { key: { airport: t.string } })
const route = entity('route', { key: { from: t.string, to: t.string } })
const landings = source('landings', {
  table: 'flights',
  key: { airport: 'origin', to: 'destination', from: 'origin' },
  eventTime: 'date',
  known: 'landed_at',
  columns: { delay: t.float64, distance: t.int32, seats: t.int64, code: t.string, at: t.timestamp, place: t.vector(2) },
})
const base = { version: 1, entity: airport, source: landings }
const delays = featureView('delays', { ...base, features: { n: count('1h'), newest: last('delay') } })

/** The functions without their types, as JavaScript calls them. */
const untyped = { entity, source, featureView, onDemandView, featureService, model } as unknown as Record<
  string,
  (...args: unknown[]) => unknown
>
const call =
  (name: string, ...args: unknown[]) =>
  () =>
    untyped[name]?.(...args)

function errorOf(run: () => unknown): Pick<LockstepError, 'code' | 'message'> {
  try {
    run()
  } catch (error) {
    return error as LockstepError
  }
  throw new Error('It was accepted.')
}

describe('a feature view', () => {
  it('becomes a plain spec with micros, hops and types', () => {
    const { spec } = featureView('v', {
      ...base,
      availability: { schedule: '*/5  * * * *', delay: '1m' },
      features: {
        rows: count('1h'),
        known: count('delay', '10m', { hop: '1m' }),
        total: sum('seats', '12h', { default: 5n }),
        mean: mean('distance', '12d'),
        least: min('at', '6h', { default: 1_000_000 }),
        most: max('distance', '6h', { required: true }),
        latest: last('delay', { ttl: '2d', default: Number.NaN }),
        inWindow: last('code', '6h'),
      },
    })
    const minute = 60_000_000
    const window = { default: null, required: false, kind: 'window' }
    expect(spec.features).toEqual([
      { ...window, name: 'rows', aggregate: 'count', column: null, type: t.int32, windowMicros: 60 * minute, hopMicros: 5 * minute },
      { ...window, name: 'known', aggregate: 'count', column: 'delay', type: t.int32, windowMicros: 10 * minute, hopMicros: minute },
      {
        ...window,
        name: 'total',
        aggregate: 'sum',
        column: 'seats',
        type: t.int64,
        default: '5',
        windowMicros: 720 * minute,
        hopMicros: 60 * minute,
      },
      {
        ...window,
        name: 'mean',
        aggregate: 'mean',
        column: 'distance',
        type: t.float64,
        windowMicros: 17_280 * minute,
        hopMicros: 1440 * minute,
      },
      {
        ...window,
        name: 'least',
        aggregate: 'min',
        column: 'at',
        type: t.timestamp,
        default: '1970-01-01T00:00:01Z',
        windowMicros: 360 * minute,
        hopMicros: 5 * minute,
      },
      {
        ...window,
        name: 'most',
        aggregate: 'max',
        column: 'distance',
        type: t.int32,
        required: true,
        windowMicros: 360 * minute,
        hopMicros: 5 * minute,
      },
      { name: 'latest', kind: 'latest', column: 'delay', type: t.float64, default: 'NaN', required: false, ttlMicros: 2880 * minute },
      { ...window, name: 'inWindow', aggregate: 'last', column: 'code', type: t.string, windowMicros: 360 * minute, hopMicros: 5 * minute },
    ])
    expect(spec.availability).toEqual({ kind: 'schedule', schedule: '*/5 * * * *', delayMicros: minute })
    expect(JSON.parse(JSON.stringify(spec))).toEqual(spec)
  })

  it('takes from its source the columns of its own key, in the order of the entity', () => {
    expect(featureView('v', { ...base, entity: route, features: { n: count('1h') } }).spec.source.key).toEqual([
      { part: 'from', column: 'origin' },
      { part: 'to', column: 'destination' },
    ])
    const world = entity('world', { key: {} })
    expect(featureView('v', { ...base, entity: world, features: { n: count('1h') } }).spec.source.key).toEqual([])
  })

  it('is frozen, and known by its brand', () => {
    expect(Object.isFrozen(delays)).toBe(true)
    expect(Object.isFrozen(delays.spec.features[0])).toBe(true)
    expect(definitionKind(delays)).toBe('featureView')
    expect(definitionKind({ ...delays })).toBe(null)
    expect(Object.getOwnPropertySymbols(delays)).toEqual([Symbol.for('lockstep.definition')])
  })

  const view = (body: object) => call('featureView', 'v', { ...base, features: { n: count('1h') }, ...body })
  const refused: [what: string, run: () => unknown, code: string, parts: string[]][] = [
    [
      'an unknown column',
      view({ features: { x: mean('delya', '1h') } }),
      'UNKNOWN_COLUMN',
      ['"x"', '"v"', '"delya"', 'Did you mean "delay"?'],
    ],
    ['the mean of a text', view({ features: { x: mean('code', '1h') } }), 'INVALID_TYPE', ['"x"', '"v"', '"code"', 'string', 'numbers']],
    ['the greatest of texts', view({ features: { x: max('code', '1h') } }), 'INVALID_TYPE', ['"code"', 'numbers and timestamps']],
    ['a wrong default', view({ features: { x: mean('delay', '1h', { default: 'none' }) } }), 'INVALID_TYPE', ['"x"', '"none"', 'float64']],
    ['a number for an int64', view({ features: { x: sum('seats', '1h', { default: 0 }) } }), 'INVALID_TYPE', ['"x"', 'int64']],
    [
      'a missing window',
      view({ features: { x: { ...sum('delay', '1h'), window: undefined } } }),
      'INVALID_DURATION',
      ['"x"', '"v"', 'has no window', "sum('delay', '6h')"],
    ],
    [
      'the column of a key',
      view({ features: { x: { ...last('code'), column: 'origin' } } }),
      'UNKNOWN_COLUMN',
      ['"origin"', 'a key of the source "landings"', 'Add it to columns'],
    ],
    [
      'an option of a feature as a field of a source',
      call('source', 's', { key: { a: 'a' }, eventTime: 'at', columns: {}, ttl: '3d' }),
      'DEFINITIONS_INVALID',
      ['"ttl"', 'an option of a feature'],
    ],
    ['a bad window', view({ features: { x: count('1x') } }), 'INVALID_DURATION', ['"x"', '"v"', '"1x"']],
    ['a bad ttl', view({ features: { x: last('delay', { ttl: 'soon' }) } }), 'INVALID_DURATION', ['ttl', '"x"', '"soon"']],
    ['a hop longer than its window', view({ features: { x: count('1h', { hop: '2h' }) } }), 'INVALID_DURATION', ['"x"', '"2h"', '"1h"']],
    [
      'a hop far below its window',
      view({ features: { x: count('30d', { hop: '1s' }) } }),
      'INVALID_DURATION',
      ['"x"', '"v"', '"1s"', '"30d"'],
    ],
    ['a count with a default', view({ features: { x: { ...count('1h'), default: 0 } } }), 'DEFINITIONS_INVALID', ['"x"', '"v"', 'default']],
    [
      'a default of a vector that is an array',
      view({ features: { x: last('place', { default: [1, 2] as unknown as Float32Array }) } }),
      'INVALID_TYPE',
      ['"x"', 'an array of 2', 'write Float32Array.of('],
    ],
    [
      'a default of no finite vector',
      view({ features: { x: last('place', { default: new Float32Array([1, Number.NaN]) }) } }),
      'INVALID_TYPE',
      ['"x"', 'NaN'],
    ],
    ['a bad schedule', view({ availability: { schedule: '* * *' } }), 'INVALID_SCHEDULE', ['"v"', '"* * *"']],
    ['two underscores in a feature', view({ features: { a__b: count('1h') } }), 'INVALID_NAME', ['"a__b"', '"v"']],
    ['no features', view({ features: {} }), 'DEFINITIONS_INVALID', ['"v"']],
    ['a feature that is none', view({ features: { x: 'count' } }), 'DEFINITIONS_INVALID', ['"x"', '"count"']],
    ['derived columns without a transform', view({ derive: { late: t.int32 } }), 'DEFINITIONS_INVALID', ['"late"']],
    [
      'a derived column that is there already',
      view({ derive: { delay: t.int32 }, transform: () => null }),
      'INVALID_NAME',
      ['"delay"', '"landings"'],
    ],
    ['a derived column without a type', view({ derive: { late: 'int32' }, transform: () => null }), 'INVALID_TYPE', ['"late"', '"int32"']],
    ['a source by name', view({ source: 'landings' }), 'DEFINITIONS_INVALID', ['"landings"', 'not its name']],
    ['an entity by name', view({ entity: 'airport' }), 'DEFINITIONS_INVALID', ['"airport"']],
    ['a version of zero', view({ version: 0 }), 'DEFINITIONS_INVALID', ['version 0']],
    ['an unknown field', view({ fetaures: {} }), 'DEFINITIONS_INVALID', ['"fetaures"']],
    ['a bad name', call('featureView', 'Airport Delays', base), 'INVALID_NAME', ['"Airport Delays"']],
    ['a name of 64 letters', call('featureView', 'a'.repeat(64), base), 'INVALID_NAME', ['63']],
    ['a source without the key', view({ entity: entity('user', { key: { user: t.int64 } }) }), 'UNKNOWN_COLUMN', ['"landings"', '"user"']],
  ]
  for (const [what, run, code, parts] of refused) {
    it(`is refused for ${what}`, () => {
      const error = errorOf(run)
      expect(error.code).toBe(code)
      for (const part of parts) expect(error.message).toContain(part)
    })
  }
})

describe('entities, sources and types', () => {
  it('refuse what cannot be a key, a table or a column', () => {
    expect(errorOf(call('entity', 'e', { key: { at: t.float64 } }))).toMatchObject({
      code: 'INVALID_TYPE',
      message: expect.stringContaining('float64'),
    })
    expect(errorOf(call('entity', 'e', { key: { 'a b': t.string } })).code).toBe('INVALID_NAME')
    const rest = { key: { airport: 'origin' }, eventTime: 'date', columns: {} }
    expect(errorOf(call('source', 's', { ...rest, table: 'a', sql: 'select 1' })).code).toBe('DEFINITIONS_INVALID')
    expect(errorOf(call('source', 's', { ...rest, table: 'a.b.c' })).code).toBe('INVALID_NAME')
    expect(errorOf(call('source', 's', { ...rest, sql: ' ; ' })).code).toBe('DEFINITIONS_INVALID')
    expect(errorOf(call('source', 's', { ...rest, eventTime: undefined })).code).toBe('INVALID_NAME')
    for (const name of ['_row', '_xid', '_event_id', '_online_only']) {
      expect(errorOf(call('source', 's', { ...rest, columns: { [name]: t.int64 } })).code).toBe('INVALID_NAME')
    }
    expect(errorOf(call('source', 's', { ...rest, columns: { ctid: t.string } })).code).toBe('INVALID_NAME')
    expect(errorOf(call('source', 's', { ...rest, eventTime: 'é'.repeat(32) }))).toMatchObject({
      code: 'INVALID_NAME',
      message: expect.stringContaining('64 bytes long'),
    })
    expect(errorOf(call('source', 's')).code).toBe('DEFINITIONS_INVALID')
    expect(errorOf(() => t.vector(0)).code).toBe('INVALID_TYPE')
  })

  it('distinguish the three kinds of relation', () => {
    const rest = { key: { airport: 'origin' }, eventTime: 'date', columns: {} }
    expect(source('s', { ...rest, table: 'public.flights' }).spec.relation).toEqual({ kind: 'table', table: 'public.flights' })
    expect(source('s', { ...rest, sql: 'select * from flights;\n' }).spec.relation).toEqual({ kind: 'sql', sql: 'select * from flights' })
    expect(source('s', rest).spec).toMatchObject({ relation: { kind: 'owned' }, known: null })
    expect(source('s', rest).stream).toBe(null)
  })

  it('a cursor reads back by its overlap, and all rows once a day or as often as it says', () => {
    const body = { table: 'mine', key: { airport: 'origin' }, eventTime: 'date', columns: { delay: t.float64 } } as const
    const cursorOf = (cursor: object) => call('source', 'mine', { ...body, cursor })
    const minute = 60_000_000
    const often = source('mine', { ...body, cursor: { column: 'updated_at', overlap: '10m', reconcile: '6h' } })
    expect(often.cursor).toEqual({ column: 'updated_at', overlapMicros: 10 * minute, reconcileMicros: 360 * minute })
    expect(source('mine', { ...body, cursor: { column: 'updated_at', overlap: '10m' } }).cursor?.reconcileMicros).toBe(1440 * minute)
    expect(errorOf(cursorOf({ column: 'updated_at' })).message).toContain(
      'The cursor of source "mine" has no overlap; write it as in { column',
    )
    expect(errorOf(cursorOf({ column: 'a', overlap: '1m', every: '1h' })).message).toContain('has a field "every", which does not exist')
    expect(errorOf(cursorOf({ column: 'a', overlap: '1m', reconcile: 'daily' }))).toMatchObject({ code: 'INVALID_DURATION' })
    const owned = call('source', 'mine', { ...body, table: undefined, cursor: { column: 'a', overlap: '1m' } })
    expect(errorOf(owned).message).toContain('is not needed, because Lockstep finds new rows by the arrival columns')
  })
})

describe('aliases and picks', () => {
  it('name the columns of the key and the features', () => {
    const use = delays.as('destination', { airport: 'to_airport' }).pick('newest')
    expect(use.spec).toEqual({ view: 'delays@1', alias: 'destination', key: ['to_airport'] })
    expect(Object.keys(use.features)).toEqual(['newest'])
  })

  it('refuse unknown parts and features', () => {
    const loose = delays as unknown as { as: (...a: unknown[]) => unknown; pick: (...a: unknown[]) => unknown }
    expect(errorOf(() => loose.as('x', { port: 'a', airport: 'b' }))).toMatchObject({
      code: 'UNKNOWN_COLUMN',
      message: expect.stringContaining('"port"'),
    })
    expect(errorOf(() => loose.as('x', {})).code).toBe('UNKNOWN_COLUMN')
    expect(errorOf(() => loose.as('a__b', { airport: 'c' })).code).toBe('INVALID_NAME')
    expect(errorOf(() => loose.pick('newset'))).toMatchObject({
      code: 'UNKNOWN_FEATURE',
      message: expect.stringContaining('Did you mean "newest"?'),
    })
    expect(errorOf(() => loose.pick()).code).toBe('DEFINITIONS_INVALID')
    expect(errorOf(() => loose.pick('n', 'n')).code).toBe('DEFINITIONS_INVALID')
  })
})

const context = onDemandView('context', {
  version: 1,
  request: { at: t.timestamp },
  inputs: { here: delays, there: delays.as('there', { airport: 'destination' }) },
  features: { hour: t.int32, n: { type: t.int32, default: 0 } },
  transform: () => ({ hour: 1, n: null }),
})

describe('on-demand views', () => {
  it('become plain specs', () => {
    expect(context.spec).toEqual({
      name: 'context',
      version: 1,
      request: [{ name: 'at', type: t.timestamp }],
      inputs: [
        { name: 'here', use: { view: 'delays@1', alias: null, key: ['airport'] } },
        { name: 'there', use: { view: 'delays@1', alias: 'there', key: ['destination'] } },
      ],
      features: [
        { name: 'hour', type: t.int32, default: null, required: false },
        { name: 'n', type: t.int32, default: 0, required: false },
      ],
    })
    expect(context.needs).toEqual({ at: t.timestamp, airport: t.string, destination: t.string })
  })

  it('take other on-demand views, and name the selected features of an input', () => {
    const second = onDemandView('second', {
      version: 1,
      inputs: { first: context, some: context.pick('hour'), here: delays.pick('newest', 'n'), one: delays.pick('n') },
      features: { x: t.int32 },
      transform: () => ({ x: 1 }),
    })
    const use = { view: 'delays@1', alias: null, key: ['airport'] }
    expect(second.spec.inputs).toEqual([
      { name: 'first', onDemand: 'context@1' },
      { name: 'some', onDemand: 'context@1', features: ['hour'] },
      { name: 'here', use },
      { name: 'one', use, features: ['n'] },
    ])
    expect(second.needs).toEqual({ at: t.timestamp, airport: t.string, destination: t.string })
  })

  it('refuse inputs that are no views, taken names and conflicting types', () => {
    const view = (body: object) => call('onDemandView', 'v', { version: 1, features: { x: t.int32 }, transform: () => ({ x: 1 }), ...body })
    expect(errorOf(view({ inputs: { other: landings } }))).toMatchObject({
      code: 'DEFINITIONS_INVALID',
      message: expect.stringContaining('"other"'),
    })
    expect(errorOf(view({ request: { at: t.int64 }, inputs: { context } }))).toMatchObject({
      code: 'INVALID_TYPE',
      message: expect.stringMatching(/"at" as int64 .* as timestamp for on-demand view "context@1"/),
    })
    expect(errorOf(view({ inputs: { request: delays } })).code).toBe('INVALID_NAME')
    expect(errorOf(view({ request: { airport: t.int64 }, inputs: { here: delays } }))).toMatchObject({
      code: 'INVALID_TYPE',
      message: expect.stringContaining('"airport"'),
    })
    expect(errorOf(view({ transform: undefined })).code).toBe('DEFINITIONS_INVALID')
    expect(errorOf(view({ features: { x: { type: t.int32, default: 'a' } } })).code).toBe('INVALID_TYPE')
  })
})

describe('services and models', () => {
  it('list features in order under their full names', () => {
    const service = featureService('s', {
      version: 1,
      features: [delays.as('there', { airport: 'destination' }), context.pick('hour'), delays.pick('n')],
    })
    expect(Object.keys(service.features)).toEqual(['there__n', 'there__newest', 'hour', 'n'])
    expect(service.spec.members).toEqual([
      { kind: 'view', use: { view: 'delays@1', alias: 'there', key: ['destination'] }, features: ['n', 'newest'] },
      { kind: 'onDemand', view: 'context@1', features: ['hour'] },
      { kind: 'view', use: { view: 'delays@1', alias: null, key: ['airport'] }, features: ['n'] },
    ])
    expect(model('m', { service, output: { p: t.float32 } }).spec).toEqual({
      name: 'm',
      service: 's@1',
      output: [{ name: 'p', type: t.float32 }],
    })
  })

  it('state which features form an input of a model', () => {
    const service = featureService('s', { version: 1, features: [delays, context.pick('hour')] })
    const body = { service, output: { p: t.float32 } }
    const input = { x_num: ['newest', 'n'], 'serving:0': ['hour'] } as const
    expect(model('m', { ...body, input }).spec).toEqual({ ...model('m', body).spec, input })
    for (const [wrong, said] of [
      [['n'], 'has the input an array of 1; write the features of each input, as in input: { x_num:'],
      [{}, 'write the features of each input'],
      [{ x: 'n' }, 'The input "x" of model "m" takes "n"; write its features in order'],
      [{ x: [] }, 'The input "x" of model "m" takes an array of 0; write its features'],
      [{ x: ['newst'] }, 'takes "newst", which is not a feature of the service "s". Did you mean "newest"?'],
      [{ x: ['n', 'newest', 'n'] }, 'takes "n" twice'],
    ] as const)
      expect(errorOf(() => model('m', { ...body, input: wrong as never })).message).toContain(said)
  })

  it('refuse two features of one name, naming both views', () => {
    expect(errorOf(() => featureService('s', { version: 1, features: [delays, context] }))).toMatchObject({
      code: 'FEATURE_NAME_CLASH',
      message: expect.stringMatching(/"n", of view "delays@1" and of on-demand view "context@1"/),
    })
  })

  it('refuse a feature named like a key or request data, with its view and column', () => {
    const named = (feature: string) => featureView('named', { ...base, features: { [feature]: count('1h') } })
    const clash = (feature: string, ...others: unknown[]) =>
      errorOf(call('featureService', 's', { version: 1, features: [named(feature), ...others] }))
    expect(clash('airport')).toMatchObject({
      code: 'FEATURE_NAME_CLASH',
      message: expect.stringMatching(/feature "airport", of view "named@1", and the column "airport", which view "named@1" needs/),
    })
    expect(clash('at', context.pick('hour'))).toMatchObject({
      code: 'FEATURE_NAME_CLASH',
      message: expect.stringMatching(/feature "at", of view "named@1", and the column "at", which on-demand view "context@1" needs/),
    })
    const other = named('airport').as('here', { airport: 'airport' })
    expect(Object.keys(featureService('s', { version: 1, features: [other] }).features)).toEqual(['here__airport'])
  })

  it('refuse invalid members, services and outputs', () => {
    expect(errorOf(call('featureService', 's', { version: 1, features: [airport] })).code).toBe('DEFINITIONS_INVALID')
    expect(errorOf(call('featureService', 's', { version: 1, features: [] })).code).toBe('DEFINITIONS_INVALID')
    expect(errorOf(call('model', 'm', { service: 's', output: { p: t.float32 } })).code).toBe('DEFINITIONS_INVALID')
    const service = featureService('s', { version: 1, features: [delays] })
    expect(errorOf(call('model', 'm', { service, output: {} })).code).toBe('DEFINITIONS_INVALID')
  })

  it('configure how a model is run, outside its spec', () => {
    const service = featureService('s', { version: 1, features: [delays] })
    const output = { p: t.float32 }
    const settings = { tolerance: 0, batchDelay: '2ms', timeout: '500ms', cache: { ttl: '30s' }, threshold: 0.8 }
    const made = model('m', { service, output, ...settings })
    const cache = { ttlMicros: 30_000_000, maxEntries: 10_000 }
    expect(made.operational).toEqual({ tolerance: 0, batchDelayMicros: 2000, timeoutMicros: 500_000, cache, threshold: 0.8 })
    expect(made.spec).toEqual(model('m', { service, output }).spec)
    expect(model('m', { service, output }).operational).toEqual({})
    for (const [wrong, said] of [
      [{ tolerance: -1 }, 'tolerance -1'],
      [{ tolerance: '0' }, 'tolerance "0"'],
      [{ threshold: 1.5 }, 'threshold 1.5; give a number from 0 to 1'],
      [{ batchDelay: '2s' }, 'at most 1s'],
      [{ timeout: '11m' }, 'at most 10m'],
      [{ threads: 0 }, 'has 0 threads; give a whole number from 1 to 64'],
      [{ threads: 1.5 }, 'has 1.5 threads'],
      [{ timeout: '0s' }, '"0s" is not a duration'],
      [{ cache: true }, 'has the cache true'],
      [{ cache: { ttl: '30s', entries: 1 } }, 'has the cache'],
      [{ cache: { ttl: '30s', maxEntries: 0 } }, 'cache of 0 entries'],
      [{ cache: { maxEntries: 1 } }, 'cache ttl'],
    ] as const)
      expect(errorOf(call('model', 'm', { service, output, ...wrong })).message, said).toContain(said)
  })

  it('declare slices by a column, by bins or by groups of values, outside the spec of a model', () => {
    const service = featureService('s', { version: 1, features: [delays] })
    const body = { service, output: { p: t.float32 } }
    const slices = {
      airport: 'airport',
      busy: { column: 'n', at: [1, 10] },
      coast: { column: 'airport', values: { east: ['JFK', 'BOS'], west: ['LAX'] } },
    } as const
    const made = model('m', { ...body, slices })
    expect(made.operational).toEqual({ slices: { ...slices, airport: { column: 'airport' } } })
    expect(made.spec).toEqual(model('m', body).spec)
    for (const [wrong, said] of [
      ['airport', 'write columns by name'],
      [{ a: 'airprot' }, 'slice "a" of "airprot", which is not a column of the service "s". Did you mean "airport"?'],
      [{ day: 'airport' }, 'rename it'],
      [{ n: 'airport' }, 'is a column itself'],
      [{ a: { column: 'airport', edges: [1] } }, 'the option "edges"'],
      [{ a: { column: 'n', at: [2, 1] } }, 'write rising numbers'],
      [{ a: { column: 'n', at: [] } }, 'write rising numbers'],
      [{ a: { column: 'airport', at: [1], values: { x: ['y'] } } }, 'both "at" and "values"'],
      [{ a: { column: 'airport', values: {} } }, 'write 1 to 100 groups'],
      [{ a: { column: 'airport', values: { x: [] } } }, 'the group "x"'],
      [{ a: { column: 'airport', values: { x: ['JFK'], y: ['JFK'] } } }, '"JFK" twice'],
      [Object.fromEntries(Array.from({ length: 21 }, (_, i) => [`a${i}`, 'airport'])), '21 slices'],
    ] as const)
      expect(errorOf(call('model', 'm', { ...body, slices: wrong })).message, said).toContain(said)
  })

  it('refuse one column needed with two types', () => {
    const numbered = entity('numbered', { key: { airport: t.int64 } })
    const other = featureView('other', { version: 1, entity: numbered, source: landings, features: { m: count('1h') } })
    expect(errorOf(() => featureService('s', { version: 1, features: [delays, other] }))).toMatchObject({
      code: 'INVALID_TYPE',
      message: expect.stringMatching(/"airport" as string for view "delays@1" and as int64 for view "other@1"/),
    })
  })
})

describe('the words that describe a definition', () => {
  it('are kept as they are, equal tags once', () => {
    const { described } = entity('x', { key: {}, description: 'Of a gate', owner: 'ground', tags: ['pii', 'gates', 'pii'] })
    expect(described).toEqual({ description: 'Of a gate', owner: 'ground', tags: ['pii', 'gates'] })
  })

  it.each([
    [{ tags: 'pii' }, 'has the tag "pii"; write a list of words'],
    [{ tags: ['a', ''] }, 'has the tag ""; write a list of words of 1 to 64 characters'],
    [{ tags: ['x'.repeat(65)] }, 'write a list of words of 1 to 64 characters'],
    [{ owner: 7 }, 'The view "v" has the owner 7; write a string.'],
    [{ description: null }, 'has the description null; write a string.'],
  ])('are refused where they are %j', (words, message) => {
    expect(errorOf(call('featureView', 'v', { ...base, features: { n: count('1h') }, ...words }))).toMatchObject({
      code: 'DEFINITIONS_INVALID',
      message: expect.stringContaining(message),
    })
  })
})
