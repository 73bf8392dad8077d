import { entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('tie_thing', { key: { driver: t.int64 } })
export const rows = source('tie_rows', { key: { driver: 'driver' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('tie_view', { version: 1, entity: thing, source: rows, features: { x: last('x') } })
export const service = featureService('tie', { version: 1, features: [view] })
