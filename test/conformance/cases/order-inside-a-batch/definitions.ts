import { count, entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('order_thing', { key: { thing: t.string } })
export const rows = source('order_rows', { key: { thing: 'thing' }, eventTime: 'at', columns: { x: t.int32 } })
export const view = featureView('order_view', { version: 1, entity: thing, source: rows, features: { x: last('x'), n: count('1d') } })
export const service = featureService('order', { version: 1, features: [view] })
