import { entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('pair_thing', { key: { left: t.string, right: t.string } })
export const rows = source('pair_rows', { key: { left: 'left', right: 'right' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('pair_view', { version: 1, entity: thing, source: rows, features: { x: last('x') } })
export const service = featureService('pair', { version: 1, features: [view] })
