import { entity, featureService, featureView, last, source, t } from 'lockstep'

export const slot = entity('mixed_key_slot', { key: { id: t.int64, region: t.string, day: t.timestamp, open: t.bool, shelf: t.int32 } })
export const rows = source('mixed_key_rows', {
  key: { region: 'r', id: 'i', day: 'd', open: 'o', shelf: 's' },
  eventTime: 'at',
  columns: { x: t.int32 },
})
export const view = featureView('mixed_key_view', { version: 1, entity: slot, source: rows, features: { x: last('x') } })
export const service = featureService('mixed_key', { version: 1, features: [view] })
