import { entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('spine_thing', { key: { thing: t.string } })
export const rows = source('spine_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('spine_view', { version: 1, entity: thing, source: rows, features: { x: last('x') } })
export const service = featureService('spine', { version: 1, features: [view] })
