import { entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('mapped_thing', { key: { driver_id: t.int64 } })
export const rows = source('mapped_rows', { key: { driver_id: 'id' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('mapped_view', { version: 1, entity: thing, source: rows, features: { x: last('x') } })
export const service = featureService('mapped', { version: 1, features: [view] })
