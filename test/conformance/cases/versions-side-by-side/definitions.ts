import { count, entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('versions_thing', { key: { thing: t.string } })
export const rows = source('versions_rows', { key: { thing: 'thing' }, eventTime: 'at', columns: { x: t.int32 } })
export const first = featureView('versions_view', { version: 1, entity: thing, source: rows, features: { x: last('x') } })
export const second = featureView('versions_view', { version: 2, entity: thing, source: rows, features: { x: last('x'), n: count('1h') } })
export const one = featureService('versions', { version: 1, features: [first] })
export const two = featureService('versions', { version: 2, features: [second] })
