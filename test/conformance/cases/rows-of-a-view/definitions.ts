import { count, entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('rowsof_thing', { key: { thing: t.string } })
export const rows = source('rowsof_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('rowsof_view', { version: 1, entity: thing, source: rows, features: { x: last('x'), n: count('1h') } })
export const service = featureService('rowsof', { version: 1, features: [view] })
