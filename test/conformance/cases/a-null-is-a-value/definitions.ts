import { entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('nulls_win_thing', { key: { thing: t.string } })
export const rows = source('nulls_win_rows', {
  key: { thing: 'thing' },
  eventTime: 'at',
  known: 'known',
  columns: { x: t.int32, y: t.string },
})
export const view = featureView('nulls_win_view', {
  version: 1,
  entity: thing,
  source: rows,
  features: { x: last('x'), y: last('y'), recent: last('x', '6h') },
})
export const service = featureService('nulls_win', { version: 1, features: [view] })
