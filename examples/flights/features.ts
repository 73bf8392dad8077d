import { count, entity, featureService, featureView, last, max, mean, model, onDemandView, source, t } from 'lockstep'

export const airport = entity('airport', { key: { airport: t.string } })

/** The departure of a flight is known when it departs. */
export const departures = source('departures', {
  table: 'flights',
  key: { airport: 'origin' },
  eventTime: 'date',
  columns: { distance: t.int32 },
})

/** The delay of a flight is known once it has landed, at its destination. */
export const landings = source('landings', {
  table: 'flights',
  key: { airport: 'destination' },
  eventTime: 'date',
  known: 'landed_at',
  columns: { delay: t.float64 },
})

export const airports = source('airports', {
  table: 'airports',
  push: true,
  key: { airport: 'iata' },
  eventTime: 'listed_at',
  columns: { name: t.string, city: t.string, state: t.string, latitude: t.float64, longitude: t.float64 },
})

export const airportTraffic = featureView('airport_traffic', {
  version: 1,
  entity: airport,
  source: departures,
  features: { departed1h: count('1h'), departed24h: count('24h') },
})

/**
 * A job refreshes these every five minutes, and a refresh takes a minute. Training sees them with the same delay as
 * serving.
 */
export const airportDelays = featureView('airport_delays', {
  version: 1,
  entity: airport,
  source: landings,
  availability: { schedule: '*/5 * * * *', delay: '1m' },
  derive: { late: t.int32 },
  transform: (row) => ({ late: row.delay === null ? null : isLate(row.delay) }),
  features: {
    landed3h: count('3h'),
    meanDelay3h: mean('delay', '3h'),
    lateShare3h: mean('late', '3h'),
    meanDelay6h: mean('delay', '6h'),
    worstDelay6h: max('delay', '6h'),
    meanDelay24h: mean('delay', '24h'),
    lateShare24h: mean('late', '24h'),
    lastDelay: last('delay', { ttl: '2d' }),
  },
})

export const airportPlace = featureView('airport_place', {
  version: 1,
  entity: airport,
  source: airports,
  features: { latitude: last('latitude'), longitude: last('longitude'), state: last('state') },
})

export const flightContext = onDemandView('flight_context', {
  version: 1,
  request: { distance: t.int32 },
  inputs: { traffic: airportTraffic.as('origin', { airport: 'origin' }) },
  features: { hour: t.float64, weekday: t.int32, miles: t.float64, busyness: t.float64 },
  transform: ({ request, traffic, asOf }) => {
    const date = new Date(asOf / 1000) // the data's times are in the airport's local time
    return {
      hour: date.getUTCHours() + date.getUTCMinutes() / 60,
      weekday: date.getUTCDay(),
      miles: request.distance,
      busyness: traffic.departed24h === 0 ? null : traffic.departed1h / (traffic.departed24h / 24),
    }
  },
})

export const flightFeatures = featureService('flight_features', {
  version: 1,
  features: [
    flightContext,
    airportPlace.as('origin', { airport: 'origin' }).pick('latitude', 'longitude'),
    airportDelays
      .as('origin', { airport: 'origin' })
      .pick('meanDelay3h', 'lateShare3h', 'meanDelay6h', 'worstDelay6h', 'meanDelay24h', 'lateShare24h', 'lastDelay'),
    airportDelays
      .as('destination', { airport: 'destination' })
      .pick('meanDelay3h', 'lateShare3h', 'meanDelay6h', 'meanDelay24h', 'lateShare24h', 'lastDelay'),
  ],
})

/** The probability that a flight is more than 15 minutes late. */
export const delayModel = model('delay', { service: flightFeatures, output: { probability: t.float32 } })

function isLate(delay: number): number {
  return delay > 15 ? 1 : 0
}
