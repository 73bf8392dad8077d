import { count, entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('retired_thing', { key: { thing: t.string } })
export const rows = source('retired_rows', { key: { thing: 'thing' }, eventTime: 'at', columns: { x: t.int32 } })
export const view = featureView('retired_view', { version: 1, entity: thing, source: rows, features: { x: last('x'), n: count('1h') } })
export const service = featureService('retired', { version: 1, features: [view] })
