import { entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('saved_thing', { key: { thing: t.string } })
export const rows = source('saved_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.float64 } })
export const view = featureView('saved_view', { version: 1, entity: thing, source: rows, features: { x: last('x') } })
export const service = featureService('saved', { version: 1, features: [view] })
