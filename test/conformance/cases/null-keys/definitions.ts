import { count, entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('null_key_thing', { key: { thing: t.string } })
export const rows = source('null_key_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('null_key_view', { version: 1, entity: thing, source: rows, features: { x: last('x'), n: count('1h') } })
export const service = featureService('null_key', { version: 1, features: [view] })
