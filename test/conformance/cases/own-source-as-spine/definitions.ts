import { count, entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('leak_thing', { key: { thing: t.string } })
export const rows = source('leak_rows', { key: { thing: 'thing' }, eventTime: 'at', columns: { x: t.int32 } })
export const view = featureView('leak_view', { version: 1, entity: thing, source: rows, features: { x: last('x'), n: count('1h') } })
export const service = featureService('leak', { version: 1, features: [view] })
