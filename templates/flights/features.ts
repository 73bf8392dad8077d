import { count, entity, featureService, featureView, last, max, mean, model, onDemandView, source, t } from 'lockstep'

export const airport = entity('airport', { key: { airport: t.string } })

/** data/landings.csv: flights, by the airport where they land. How late a flight is, is known once it has landed. */
export const landings = source('landings', {
  key: { airport: 'destination' },
  eventTime: 'departed_at',
  known: 'landed_at',
  columns: { delay: t.float64, distance: t.int32 },
})

/** data/departures.csv: the same flights, by the airport that they leave. */
export const departures = source('departures', {
  key: { airport: 'origin' },
  eventTime: 'departed_at',
  columns: { distance: t.int32 },
})

export const delays = featureView('delays', {
  version: 1,
  entity: airport,
  source: landings,
  derive: { late: t.int32 },
  transform: (row) => ({ late: row.delay === null ? null : row.delay > 15 ? 1 : 0 }),
  features: {
    landed3h: count('3h'),
    meanDelay3h: mean('delay', '3h'),
    worstDelay6h: max('delay', '6h'),
    lateShare24h: mean('late', '24h'),
    lastDelay: last('delay', { ttl: '2d' }),
  },
})

export const traffic = featureView('traffic', {
  version: 1,
  entity: airport,
  source: departures,
  features: { departed1h: count('1h'), departed24h: count('24h') },
})

/** Computed when somebody asks, from the flight that is about to leave. */
export const flight = onDemandView('flight', {
  version: 1,
  request: { distance: t.int32 },
  inputs: { here: traffic.as('here', { airport: 'origin' }) },
  features: { hour: t.float64, miles: t.float64, busyness: t.float64 },
  transform: ({ request, here, asOf }) => {
    const date = new Date(asOf / 1000) // asOf is in microseconds
    return {
      hour: date.getUTCHours() + date.getUTCMinutes() / 60,
      miles: request.distance,
      busyness: here.departed24h === 0 ? null : (24 * here.departed1h) / here.departed24h,
    }
  },
})

export const flightFeatures = featureService('flight_features', {
  version: 1,
  features: [flight, delays.as('origin', { airport: 'origin' }), delays.as('destination', { airport: 'destination' })],
})

/** The probability that a flight is more than 15 minutes late: models/delay.onnx. */
export const delay = model('delay', { service: flightFeatures, output: { probability: t.float32 } })
