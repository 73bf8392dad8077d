import { count, entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('past_thing', { key: { thing: t.string } })
export const rows = source('past_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('past_view', { version: 1, entity: thing, source: rows, features: { n: count('1h'), x: last('x') } })
export const service = featureService('past', { version: 1, features: [view] })
