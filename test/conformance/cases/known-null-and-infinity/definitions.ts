import { count, entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('never_thing', { key: { thing: t.string } })
export const rows = source('never_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('never_view', { version: 1, entity: thing, source: rows, features: { x: last('x'), n: count('6h') } })
export const service = featureService('never', { version: 1, features: [view] })
