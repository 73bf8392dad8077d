import { entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('expiry_thing', { key: { thing: t.string } })
export const rows = source('expiry_rows', { key: { thing: 'thing' }, eventTime: 'at', columns: { x: t.int32 } })
export const other = source('expiry_other', { key: { thing: 'thing' }, eventTime: 'at', columns: { x: t.int32 } })
export const fresh = featureView('expiry_fresh', { version: 1, entity: thing, source: rows, features: { fresh: last('x', { ttl: '1h' }) } })
export const expired = featureView('expiry_expired', {
  version: 1,
  entity: thing,
  source: other,
  features: { expired: last('x', { ttl: '1h' }) },
})
export const ever = featureView('expiry_ever', { version: 1, entity: thing, source: other, features: { ever: last('x') } })
export const service = featureService('expiry', { version: 1, features: [fresh, expired, ever] })
