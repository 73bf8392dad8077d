import { entity, featureService, featureView, last, source, t } from 'lockstep'

export const driver = entity('brute_driver', { key: { driver: t.int64 } })
export const rows = source('brute_rows', { key: { driver: 'driver' }, eventTime: 'at', known: 'known', columns: { x: t.float64 } })
export const view = featureView('brute_view', {
  version: 1,
  entity: driver,
  source: rows,
  features: { x: last('x'), recent: last('x', { ttl: '3h' }), or: last('x', { ttl: '20m', default: -1 }) },
})
export const service = featureService('brute', { version: 1, features: [view] })
