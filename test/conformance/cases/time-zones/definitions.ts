import { count, entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('zones_thing', { key: { thing: t.string } })
export const rows = source('zones_rows', {
  key: { thing: 'thing' },
  eventTime: 'at',
  known: 'known',
  columns: { x: t.int32, w: t.timestamp },
})
export const view = featureView('zones_view', {
  version: 1,
  entity: thing,
  source: rows,
  features: { x: last('x'), n: count('1h'), w: last('w') },
})
export const service = featureService('zones', { version: 1, features: [view] })
