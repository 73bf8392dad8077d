import { count, entity, featureService, featureView, last, lastN, mean, model, onDemandView, source, t, topK } from 'lockstep'

const airport = entity('airport', { key: { airport: t.string } })
const carrier = entity('carrier', { key: { carrier: t.string, fleet: t.int32 } })

export const landings = source('landings', {
  key: { airport: 'destination' },
  eventTime: 'date',
  known: 'landed_at',
  columns: { delay: t.float64, distance: t.int32, origin: t.string, gates: t.vector(2), codes: t.int64 },
})
export const departures = source('departures', {
  key: { carrier: 'carrier', fleet: 'fleet' },
  eventTime: 'date',
  columns: { seats: t.int32 },
})

export const arrivals = featureView('arrivals', {
  version: 1,
  entity: airport,
  source: landings,
  derive: { late: t.int32 },
  transform: (row) => ({ late: row.delay === null ? null : row.delay > 15 ? 1 : 0 }),
  features: {
    landed6h: count('6h'),
    lateShare: mean('late', '1d'),
    lastGates: last('gates', { ttl: '2d' }),
    lastCode: last('codes'),
    origins: lastN('origin', 3, '2d'),
    topOrigins: topK('origin', 2, '2d', { cap: 100 }),
  },
})
export const fleets = featureView('fleets', {
  version: 1,
  entity: carrier,
  source: departures,
  availability: { schedule: '*/30 * * * *', delay: '5m' },
  features: { flights1d: count('1d'), meanSeats: mean('seats', '1d', { default: 0 }) },
})
export const load = onDemandView('load', {
  version: 1,
  request: { booked: t.int32 },
  inputs: { fleet: fleets, arrival: arrivals.pick('landed6h') },
  features: { free: t.float64, busy: t.float64 },
  transform: ({ request, fleet, arrival }) => ({ free: fleet.meanSeats - request.booked, busy: arrival.landed6h ?? 0 }),
})
export const flight = featureService('flight', {
  version: 1,
  features: [arrivals, arrivals.as('from', { airport: 'origin' }), fleets.pick('flights1d'), load],
})
export const scored = featureService('scored', {
  version: 1,
  features: [arrivals.as('to', { airport: 'destination' }).pick('landed6h'), fleets.pick('flights1d'), load],
})
export const score = model('score', { service: scored, output: { score: t.float32 } })
