import { count, entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('strict_thing', { key: { thing: t.string } })
export const rows = source('strict_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('strict_view', { version: 1, entity: thing, source: rows, features: { x: last('x'), n: count('2h') } })
export const service = featureService('strict', { version: 1, features: [view] })
