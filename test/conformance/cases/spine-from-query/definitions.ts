import { entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('query_thing', { key: { thing: t.string } })
export const rows = source('query_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('query_view', { version: 1, entity: thing, source: rows, features: { x: last('x') } })
export const service = featureService('query', { version: 1, features: [view] })
