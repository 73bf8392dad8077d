import { count, entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('edge_thing', { key: { thing: t.string } })
export const rows = source('edge_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('edge_view', { version: 1, entity: thing, source: rows, features: { x: last('x'), n: count('1h') } })
export const service = featureService('edge', { version: 1, features: [view] })
