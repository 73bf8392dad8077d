/** The views of the point-in-time bench: flights by origin, destination, route and distance. */
import { count, entity, featureService, featureView, last, max, mean, source, sum, t } from 'lockstep'

const airport = entity('airport', { key: { airport: t.string } })
const route = entity('route', { key: { origin: t.string, destination: t.string } })
const haul = entity('haul', { key: { distance: t.int32 } })

const delays = { delay: t.float64, distance: t.int32 }
export const outbound = source('outbound', { table: 'flights', key: { airport: 'origin' }, eventTime: 'date', columns: delays })
export const inbound = source('inbound', { table: 'flights', key: { airport: 'destination' }, eventTime: 'date', columns: delays })
export const routed = source('routed', {
  table: 'flights',
  key: { origin: 'origin', destination: 'destination' },
  eventTime: 'date',
  columns: delays,
})
export const hauled = source('hauled', {
  table: 'flights',
  key: { distance: 'distance' },
  eventTime: 'date',
  columns: { delay: t.float64 },
})

export const latestAndMean = featureView('latest_and_mean', {
  version: 1,
  entity: airport,
  source: outbound,
  features: { lastDelay: last('delay'), meanDelay24h: mean('delay', '24h') },
})
export const latest = featureView('latest', { version: 1, entity: airport, source: outbound, features: { lastDelay: last('delay') } })
export const hourly = featureView('hourly', {
  version: 1,
  entity: airport,
  source: outbound,
  features: { meanDelay1h: mean('delay', '1h') },
})
export const daily = featureView('daily', {
  version: 1,
  entity: airport,
  source: outbound,
  features: { meanDelay24h: mean('delay', '24h') },
})

export const twelve = featureView('twelve', {
  version: 1,
  entity: airport,
  source: outbound,
  features: {
    flights1h: count('1h'),
    meanDelay1h: mean('delay', '1h'),
    worstDelay1h: max('delay', '1h'),
    flights6h: count('6h'),
    meanDelay6h: mean('delay', '6h'),
    worstDelay6h: max('delay', '6h'),
    flights24h: count('24h'),
    meanDelay24h: mean('delay', '24h'),
    worstDelay24h: max('delay', '24h'),
    flights7d: count('7d'),
    meanDelay7d: mean('delay', '7d'),
    worstDelay7d: max('delay', '7d'),
  },
})

export const oneWindow = featureView('one_window', {
  version: 1,
  entity: airport,
  source: outbound,
  features: { count24h: count('24h'), sum24h: sum('delay', '24h'), mean24h: mean('delay', '24h') },
})
export const eightWindows = featureView('eight_windows', {
  version: 1,
  entity: airport,
  source: outbound,
  features: {
    count1h: count('1h'),
    sum1h: sum('delay', '1h'),
    mean1h: mean('delay', '1h'),
    count3h: count('3h'),
    sum3h: sum('delay', '3h'),
    mean3h: mean('delay', '3h'),
    count6h: count('6h'),
    sum6h: sum('delay', '6h'),
    mean6h: mean('delay', '6h'),
    count12h: count('12h'),
    sum12h: sum('delay', '12h'),
    mean12h: mean('delay', '12h'),
    count24h: count('24h'),
    sum24h: sum('delay', '24h'),
    mean24h: mean('delay', '24h'),
    count3d: count('3d'),
    sum3d: sum('delay', '3d'),
    mean3d: mean('delay', '3d'),
    count7d: count('7d'),
    sum7d: sum('delay', '7d'),
    mean7d: mean('delay', '7d'),
    count30d: count('30d'),
    sum30d: sum('delay', '30d'),
    mean30d: mean('delay', '30d'),
  },
})

const two = { lastDelay: last('delay'), meanDelay24h: mean('delay', '24h') }
export const inboundDelays = featureView('inbound_delays', { version: 1, entity: airport, source: inbound, features: two })
export const inboundTraffic = featureView('inbound_traffic', {
  version: 1,
  entity: airport,
  source: inbound,
  features: { landed24h: count('24h') },
})
export const outboundTraffic = featureView('outbound_traffic', {
  version: 1,
  entity: airport,
  source: outbound,
  features: { left24h: count('24h') },
})
export const routeDelays = featureView('route_delays', { version: 1, entity: route, source: routed, features: two })
export const haulDelays = featureView('haul_delays', { version: 1, entity: haul, source: hauled, features: two })

const origin = { airport: 'origin' } as const
const destination = { airport: 'destination' } as const
export const latestAndMeanService = featureService('latest_and_mean', { version: 1, features: [latestAndMean.as('o', origin)] })
export const latestService = featureService('latest', { version: 1, features: [latest.as('o', origin)] })
export const hourlyService = featureService('hourly', { version: 1, features: [hourly.as('o', origin)] })
export const dailyService = featureService('daily', { version: 1, features: [daily.as('o', origin)] })
export const twelveService = featureService('twelve', { version: 1, features: [twelve.as('o', origin)] })
export const oneWindowService = featureService('one_window', { version: 1, features: [oneWindow.as('o', origin)] })
export const eightWindowsService = featureService('eight_windows', { version: 1, features: [eightWindows.as('o', origin)] })
export const mappingsService = featureService('mappings', {
  version: 1,
  features: [
    latestAndMean.as('o', origin),
    outboundTraffic.as('o', origin),
    inboundDelays.as('d', destination),
    inboundTraffic.as('d', destination),
    routeDelays,
    haulDelays.as('h', { distance: 'distance' }),
  ],
})
