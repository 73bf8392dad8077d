import { entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('split_thing', { key: { thing: t.int32 } })
export const rows = source('split_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.float64 } })
export const view = featureView('split_view', { version: 1, entity: thing, source: rows, features: { x: last('x') } })
export const service = featureService('split', { version: 1, features: [view] })
