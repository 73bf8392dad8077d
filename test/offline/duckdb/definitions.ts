import { count, entity, featureService, featureView, last, max, mean, min, source, stddev, sum, t, variance } from '../../../index.ts'

export const airport = entity('airport', { key: { airport: t.string } })

const columns = { reading: t.float64, distance: t.int64 }

/** A flight is known to its origin from its departure on. */
export const departures = source('departures', { table: 'flights', key: { airport: 'origin' }, eventTime: 'date', columns })

/** And to its destination once it has landed. */
export const landings = source('landings', {
  table: 'flights',
  key: { airport: 'destination' },
  eventTime: 'date',
  known: 'landed_at',
  columns,
})

const latest = { reading: last('reading'), recent: last('reading', { ttl: '6h' }), distance: last('distance') }

export const departed = featureView('departed', { version: 1, entity: airport, source: departures, features: latest })
export const arrived = featureView('arrived', { version: 1, entity: airport, source: landings, features: latest })

export const latestValues = featureService('latest_values', {
  version: 1,
  features: [
    departed.as('departed', { airport: 'origin' }),
    arrived.as('arrived', { airport: 'destination' }),
    arrived.as('arrived_at_origin', { airport: 'origin' }).pick('reading'),
  ],
})

export const departedWithin = featureView('departed_within', {
  version: 1,
  entity: airport,
  source: departures,
  features: {
    rows1h: count('1h'),
    total1h: sum('reading', '1h'),
    least1h: min('reading', '1h'),
    sample1h: variance('reading', '1h', { sample: true }),
    rows6h: count('6h'),
    miles6h: sum('distance', '6h'),
    greatest6h: max('reading', '6h'),
    rows24h: count('24h'),
    values24h: count('reading', '24h'),
    mean24h: mean('reading', '24h'),
    variance24h: variance('reading', '24h'),
    rows7d: count('7d'),
    mean7d: mean('reading', '7d'),
    deviation7d: stddev('reading', '7d'),
  },
})

export const arrivedWithin = featureView('arrived_within', {
  version: 1,
  entity: airport,
  source: landings,
  features: {
    rows1h: count('1h'),
    mean1h: mean('reading', '1h'),
    greatest1h: max('reading', '1h'),
    rows6h: count('6h'),
    values6h: count('reading', '6h'),
    variance6h: variance('reading', '6h'),
    least6h: min('reading', '6h'),
    rows24h: count('24h'),
    total24h: sum('reading', '24h'),
    deviation24h: stddev('reading', '24h'),
    rows7d: count('7d'),
    miles7d: sum('distance', '7d'),
    least7d: min('reading', '7d'),
    sample7d: variance('reading', '7d', { sample: true }),
  },
})

/** Refreshed by day alone, and each time for a minute and a half. */
export const refreshedWithin = featureView('refreshed_within', {
  version: 1,
  entity: airport,
  source: landings,
  availability: { schedule: '*/20 5-22 * * *', delay: '90s' },
  features: {
    rows1h: count('1h'),
    mean1h: mean('reading', '1h'),
    rows6h: count('6h'),
    least6h: min('reading', '6h'),
    rows24h: count('24h'),
    variance24h: variance('reading', '24h'),
    greatest24h: max('reading', '24h'),
    rows7d: count('7d'),
    total7d: sum('reading', '7d'),
  },
})

export const windows = featureService('windows', {
  version: 1,
  features: [
    departedWithin.as('departed', { airport: 'origin' }),
    arrivedWithin.as('arrived', { airport: 'destination' }),
    refreshedWithin.as('refreshed', { airport: 'destination' }),
  ],
})
