import { count, entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('stamps_thing', { key: { thing: t.string } })
export const rows = source('stamps_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('stamps_view', { version: 1, entity: thing, source: rows, features: { x: last('x'), n: count('1h') } })
export const service = featureService('stamps', { version: 1, features: [view] })
