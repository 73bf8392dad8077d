import { count, entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('offline_thing', { key: { thing: t.string } })
export const rows = source('offline_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('offline_view', {
  version: 1,
  entity: thing,
  source: rows,
  online: false,
  features: { x: last('x', { ttl: '1h' }), n: count('1h') },
})
export const service = featureService('offline', { version: 1, features: [view] })
