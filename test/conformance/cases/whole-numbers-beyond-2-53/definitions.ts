import { entity, featureService, featureView, last, max, min, source, sum, t } from 'lockstep'

export const thing = entity('wide_thing', { key: { id: t.int64 } })
export const rows = source('wide_rows', { key: { id: 'id' }, eventTime: 'at', known: 'known', columns: { x: t.int64 } })
export const view = featureView('wide_view', {
  version: 1,
  entity: thing,
  source: rows,
  features: { x: last('x'), total: sum('x', '1h'), least: min('x', '1h'), most: max('x', '1h') },
})
export const service = featureService('wide', { version: 1, features: [view] })
