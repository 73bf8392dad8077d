import { entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('no_ttl_thing', { key: { thing: t.string } })
export const rows = source('no_ttl_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('no_ttl_view', { version: 1, entity: thing, source: rows, features: { x: last('x') } })
export const service = featureService('no_ttl', { version: 1, features: [view] })
