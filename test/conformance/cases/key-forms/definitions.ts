import { entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('coerced_thing', { key: { customer: t.int64 } })
export const rows = source('coerced_rows', { key: { customer: 'customer' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('coerced_view', { version: 1, entity: thing, source: rows, features: { x: last('x') } })
export const service = featureService('coerced', { version: 1, features: [view] })
