import { count, entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('late_thing', { key: { thing: t.string } })
export const rows = source('late_rows', { key: { thing: 'thing' }, eventTime: 'at', columns: { x: t.string } })
export const view = featureView('late_view', { version: 1, entity: thing, source: rows, features: { x: last('x'), n: count('1d') } })
export const service = featureService('late', { version: 1, features: [view] })
