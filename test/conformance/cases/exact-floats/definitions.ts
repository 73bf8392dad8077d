import { entity, featureService, featureView, last, max, mean, min, source, sum, t } from 'lockstep'

export const thing = entity('floats_thing', { key: { thing: t.string } })
export const rows = source('floats_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.float64 } })
export const view = featureView('floats_view', {
  version: 1,
  entity: thing,
  source: rows,
  features: { total: sum('x', '1h'), average: mean('x', '1h'), least: min('x', '1h'), most: max('x', '1h'), x: last('x') },
})
export const service = featureService('floats', { version: 1, features: [view] })
