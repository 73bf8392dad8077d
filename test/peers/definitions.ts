import { count, entity, featureService, featureView, last, model, onDemandView, source, t } from 'lockstep'

export const driver = entity('driver', { key: { driver_id: t.int64 } })

export const hourlyStats = source('driver_hourly_stats', {
  key: { driver_id: 'driver_id' },
  eventTime: 'event_timestamp',
  columns: { conv_rate: t.float64, avg_daily_trips: t.int64, city: t.string },
})

export const driverStats = featureView('driver_stats', {
  version: 1,
  entity: driver,
  source: hourlyStats,
  online: true,
  features: {
    conv_rate: last('conv_rate'),
    avg_daily_trips: last('avg_daily_trips'),
    city: last('city', { ttl: '1d' }),
    rows: count('lifetime'),
  },
})

export const trip = onDemandView('trip', {
  version: 1,
  request: { fare: t.float64 },
  inputs: { driver: driverStats },
  features: { expected: t.float64 },
  transform: ({ request, driver: stats }) => ({ expected: stats.conv_rate === null ? null : stats.conv_rate * request.fare }),
})

export const driverActivity = featureService('driver_activity', { version: 1, features: [driverStats, trip] })
export const driverProfile = featureService('driver_profile', { version: 1, features: [driverStats] })

// what the examples of the OpenAPI document name
export const airport = entity('airport', { key: { airport: t.string } })

export const landings = source('landings', { key: { airport: 'airport' }, eventTime: 'at', columns: { delay: t.float64 } })

export const airportDelays = featureView('airport_delays', {
  version: 1,
  entity: airport,
  source: landings,
  online: true,
  features: { lastDelay: last('delay'), landed1h: count('1h') },
})

export const flightContext = onDemandView('flight_context', {
  version: 1,
  request: { distance: t.float64 },
  inputs: { origin: airportDelays },
  features: { pressure: t.float64 },
  transform: ({ request, origin }) => ({ pressure: origin.lastDelay === null ? null : origin.lastDelay / request.distance }),
})

export const flightFeatures = featureService('flight_features', { version: 1, features: [airportDelays, flightContext] })

export const delay = model('delay', { service: flightFeatures, output: { probabilities: t.float32 } })
