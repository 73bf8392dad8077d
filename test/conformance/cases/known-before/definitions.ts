import { count, entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('cut_thing', { key: { thing: t.string } })
export const rows = source('cut_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('cut_view', { version: 1, entity: thing, source: rows, features: { x: last('x'), n: count('1d') } })
export const service = featureService('cut', { version: 1, features: [view] })
