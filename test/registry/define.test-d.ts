import { describe, expectTypeOf, it } from 'vitest'
import type { EntityRow, FeatureRow, FeatureValues, FeatureView } from '../../index.ts'
import { count, entity, featureService, featureView, last, max, mean, model, onDemandView, source, sum, t } from '../../index.ts'

const airport = entity('airport', { key: { airport: t.string } })
const route = entity('route', { key: { from: t.string, to: t.int64 } })
const world = entity('world', { key: {} })
const landings = source('landings', {
  table: 'flights',
  key: { airport: 'origin' },
  eventTime: 'date',
  known: 'landed_at',
  columns: {
    delay: t.float64,
    distance: t.int32,
    seats: t.int64,
    destination: t.string,
    cancelled: t.bool,
    at: t.timestamp,
    place: t.vector(2),
  },
})
const delays = featureView('delays', {
  version: 1,
  entity: airport,
  source: landings,
  availability: { schedule: '*/5 * * * *', delay: '1m' },
  derive: { late: t.int32 },
  transform: (row) => {
    expectTypeOf(row).toEqualTypeOf<{
      readonly delay: number | null
      readonly distance: number | null
      readonly seats: bigint | null
      readonly destination: string | null
      readonly cancelled: boolean | null
      readonly at: number | null
      readonly place: Float32Array | null
    }>()
    return { late: row.delay === null ? null : row.delay > 15 ? 1 : 0 }
  },
  features: {
    landed1h: count('1h'),
    known6h: count('delay', '6h'),
    meanDelay6h: mean('delay', '6h', { default: 0 }),
    lateShare24h: mean('late', '24h'),
    seats: sum('seats', '6h'),
    seatsOr: sum('seats', '6h', { default: 0n }),
    metres: sum('distance', '6h', { required: true }),
    newest: max('at', '6h'),
    lastDelay: last('delay', { ttl: '2d' }),
    lastPlace: last('place'),
    lastDestination: last('destination', '6h', { default: 'none' }),
  },
})

describe('feature views', () => {
  it('type each feature by its aggregate, without null if it is required or defaulted', () => {
    expectTypeOf<FeatureValues<typeof delays.features>>().toEqualTypeOf<{
      readonly landed1h: number
      readonly known6h: number
      readonly meanDelay6h: number
      readonly lateShare24h: number | null
      readonly seats: bigint | null
      readonly seatsOr: bigint
      readonly metres: number
      readonly newest: number | null
      readonly lastDelay: number | null
      readonly lastPlace: Float32Array | null
      readonly lastDestination: string
    }>()
  })

  it('refuse columns that neither the source nor derive has', () => {
    // @ts-expect-error there is no such column
    featureView('v', { version: 1, entity: airport, source: landings, features: { x: mean('delya', '1h') } })
    // @ts-expect-error nor for a count
    featureView('v', { version: 1, entity: airport, source: landings, features: { x: count('delya', '1h') } })
    // @ts-expect-error late is not derived here
    featureView('v', { version: 1, entity: airport, source: landings, features: { x: mean('late', '1h') } })
  })

  it('refuse aggregates of the wrong type', () => {
    // @ts-expect-error the mean of a string
    featureView('v', { version: 1, entity: airport, source: landings, features: { x: mean('destination', '1h') } })
    // @ts-expect-error the sum of times
    featureView('v', { version: 1, entity: airport, source: landings, features: { x: sum('at', '1h') } })
    // @ts-expect-error the greatest of booleans
    featureView('v', { version: 1, entity: airport, source: landings, features: { x: max('cancelled', '1h') } })
  })

  it('refuse defaults of the wrong type', () => {
    // @ts-expect-error a text for a number
    featureView('v', { version: 1, entity: airport, source: landings, features: { x: mean('delay', '1h', { default: 'none' }) } })
    // @ts-expect-error a number for an int64
    featureView('v', { version: 1, entity: airport, source: landings, features: { x: sum('seats', '1h', { default: 0 }) } })
  })

  it('refuse a default for a count, which is never null', () => {
    // @ts-expect-error there is nothing that it could stand for
    count('1h', { default: 0 })
    // @ts-expect-error nor with a column
    count('delay', '1h', { default: 0 })
  })

  it('refuse a source without the parts of the key', () => {
    // @ts-expect-error landings has no from and to
    featureView('v', { version: 1, entity: route, source: landings, features: { x: count('1h') } })
  })

  it('refuse a transform that does not return the type of derive', () => {
    const base = { version: 1, entity: airport, source: landings, features: { x: count('1h') } } as const
    // @ts-expect-error late is a number
    featureView('v', { ...base, derive: { late: t.int32 }, transform: () => ({ late: 'yes' }) })
    // @ts-expect-error late is missing
    featureView('v', { ...base, derive: { late: t.int32 }, transform: () => ({}) })
    // @ts-expect-error delay is a column already
    featureView('v', { ...base, derive: { delay: t.int32 }, transform: () => ({ delay: 1 }) })
  })

  it('allow a transform that only leaves rows out, and an entity without a key', () => {
    const v = featureView('v', {
      version: 1,
      entity: world,
      source: landings,
      transform: (row) => (row.cancelled === true ? null : {}),
      features: { x: count('1h') },
    })
    expectTypeOf(v.entity.key).toEqualTypeOf<{}>()
  })

  it('map every part of the key in an alias', () => {
    const destination = delays.as('destination', { airport: 'to_airport' })
    expectTypeOf(destination.needs).toEqualTypeOf<{ readonly to_airport: { readonly kind: 'string' } }>()
    // @ts-expect-error the part is called airport
    delays.as('destination', { port: 'x' })
    // @ts-expect-error no such feature
    delays.pick('landed1h', 'nothing')
  })
})

const context = onDemandView('context', {
  version: 1,
  request: { scheduledAt: t.timestamp, seats: t.int64 },
  inputs: { origin: delays, dest: delays.as('destination', { airport: 'destination' }) },
  features: { hour: t.int32, pressure: { type: t.float64, default: 0 }, needed: { type: t.string, required: true } },
  transform: ({ request, origin, dest, asOf }) => {
    expectTypeOf(request).toEqualTypeOf<{ readonly scheduledAt: number; readonly seats: bigint }>()
    expectTypeOf(origin.meanDelay6h).toEqualTypeOf<number>()
    expectTypeOf(dest.lastDelay).toEqualTypeOf<number | null>()
    expectTypeOf(asOf).toEqualTypeOf<number>()
    return { hour: 1, pressure: dest.lastDelay, needed: 'x' }
  },
})

describe('on-demand views', () => {
  it('have types for their inputs and outputs', () => {
    expectTypeOf(context.needs).toEqualTypeOf<{
      readonly scheduledAt: { readonly kind: 'timestamp' }
      readonly seats: { readonly kind: 'int64' }
      readonly airport: { readonly kind: 'string' }
      readonly destination: { readonly kind: 'string' }
    }>()
    expectTypeOf<FeatureValues<typeof context.features>>().toEqualTypeOf<{
      readonly hour: number | null
      readonly pressure: number
      readonly needed: string
    }>()
  })

  it('take other on-demand views, complete or selected, with their inputs', () => {
    const second = onDemandView('second', {
      version: 1,
      request: { note: t.string },
      inputs: { context, some: context.pick('needed') },
      features: { half: t.float64 },
      transform: ({ context: first, some }) => {
        expectTypeOf(first.hour).toEqualTypeOf<number | null>()
        expectTypeOf(some).toEqualTypeOf<{ readonly needed: string }>()
        return { half: first.pressure / 2 }
      },
    })
    expectTypeOf(second.needs).toEqualTypeOf<{
      readonly note: { readonly kind: 'string' }
      readonly scheduledAt: { readonly kind: 'timestamp' }
      readonly seats: { readonly kind: 'int64' }
      readonly airport: { readonly kind: 'string' }
      readonly destination: { readonly kind: 'string' }
    }>()
  })

  it('refuse wrong results, wrong defaults and invalid inputs', () => {
    // @ts-expect-error hour is a number
    onDemandView('v', { version: 1, features: { hour: t.int32 }, transform: () => ({ hour: 'x' }) })
    // @ts-expect-error the default is a text
    onDemandView('v', { version: 1, features: { hour: { type: t.int32, default: 'x' } }, transform: () => ({ hour: 1 }) })
    // @ts-expect-error a source is no view
    onDemandView('v', { version: 1, inputs: { other: landings }, features: { hour: t.int32 }, transform: () => ({ hour: 1 }) })
    // @ts-expect-error origin is not an input
    onDemandView('v', { version: 1, features: { hour: t.int32 }, transform: ({ origin }) => ({ hour: Number(origin) }) })
  })
})

describe('services and models', () => {
  const service = featureService('flight_features', {
    version: 1,
    features: [
      delays.pick('landed1h', 'lastDelay'),
      delays.as('destination', { airport: 'destination' }).pick('meanDelay6h'),
      context.pick('hour'),
    ],
  })

  it('name features by their alias', () => {
    expectTypeOf<FeatureRow<typeof service>>().toEqualTypeOf<{
      readonly landed1h: number
      readonly lastDelay: number | null
      readonly destination__meanDelay6h: number
      readonly hour: number | null
    }>()
  })

  it('need the keys of their entities and the request data, never null', () => {
    expectTypeOf<EntityRow<typeof service>>().toEqualTypeOf<{
      readonly airport: string
      readonly destination: string
      readonly scheduledAt: number
      readonly seats: bigint
    }>()
  })

  it('refer to each other by value', () => {
    const delay = model('delay', { service, output: { probability: t.float32 } })
    expectTypeOf(delay.output.probability).toEqualTypeOf<{ readonly kind: 'float32' }>()
    // @ts-expect-error by name is refused
    model('delay', { service: 'flight_features', output: { probability: t.float32 } })
    // @ts-expect-error a slice of a column that the service does not have
    model('delay', { service, output: { probability: t.float32 }, slices: { region: 'regoin' } })
    model('delay', { service, input: { x: ['destination__meanDelay6h', 'hour'] }, output: { probability: t.float32 } })
    // @ts-expect-error an input of a feature that the service does not have
    model('delay', { service, input: { x: ['destination__meanDelay5h'] }, output: { probability: t.float32 } })
    const named = featureView('named', { version: 1, entity: airport, source: landings, features: { airport: count('1h') } })
    // @ts-expect-error the feature has the name of the key
    featureService('s', { version: 1, features: [named] })
    featureService('s', { version: 1, features: [named.as('here', { airport: 'airport' })] })
    const loose: FeatureView = named
    featureService('s', { version: 1, features: [loose] })
    // @ts-expect-error an entity is no feature
    featureService('s', { version: 1, features: [airport] })
  })
})
