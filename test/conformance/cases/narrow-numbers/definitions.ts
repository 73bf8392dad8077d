import { entity, featureService, featureView, last, mean, min, source, sum, t } from 'lockstep'

export const thing = entity('unfloat_thing', { key: { thing: t.string } })
export const rows = source('unfloat_rows', {
  key: { thing: 'thing' },
  eventTime: 'at',
  known: 'known',
  columns: { x: t.float32, i: t.int32 },
})
export const view = featureView('unfloat_view', {
  version: 1,
  entity: thing,
  source: rows,
  features: {
    x: last('x'),
    total: sum('x', '1h'),
    average: mean('x', '1h'),
    least: min('x', '1h'),
    wide: sum('i', '1h'),
    middle: mean('i', '1h'),
  },
})
export const service = featureService('unfloat', { version: 1, features: [view] })
