import { entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('names_thing', { key: { thing: t.string } })
export const rows = source('names_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { delay: t.float64 } })
export const view = featureView('names_view', { version: 1, entity: thing, source: rows, features: { delay: last('delay') } })
export const service = featureService('names', { version: 1, features: [view] })
