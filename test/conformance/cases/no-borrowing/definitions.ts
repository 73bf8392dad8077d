import { entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('own_thing', { key: { thing: t.string } })
export const rows = source('own_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.float64 } })
export const view = featureView('own_view', { version: 1, entity: thing, source: rows, features: { x: last('x') } })
export const service = featureService('own', { version: 1, features: [view] })
