import { entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('ttl_thing', { key: { thing: t.string } })
export const rows = source('ttl_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('ttl_view', {
  version: 1,
  entity: thing,
  source: rows,
  features: { x: last('x', { ttl: '10m' }), or: last('x', { ttl: '10m', default: -1 }), ever: last('x') },
})
export const service = featureService('ttl', { version: 1, features: [view] })
