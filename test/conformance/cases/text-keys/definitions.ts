import { count, entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('letters_thing', { key: { thing: t.string } })
export const rows = source('letters_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('letters_view', { version: 1, entity: thing, source: rows, features: { x: last('x'), n: count('1h') } })
export const service = featureService('letters', { version: 1, features: [view] })
