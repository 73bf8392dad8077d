import { entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('columns_thing', { key: { thing: t.string } })
export const rows = source('columns_rows', {
  key: { thing: 'thing' },
  eventTime: 'at',
  known: 'known',
  columns: { x: t.int32, y: t.int32 },
})
export const view = featureView('columns_view', { version: 1, entity: thing, source: rows, features: { x: last('x') } })
export const service = featureService('columns', { version: 1, features: [view] })
