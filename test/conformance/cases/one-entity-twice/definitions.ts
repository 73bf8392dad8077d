import { entity, featureService, featureView, last, source, t } from 'lockstep'

export const place = entity('twice_place', { key: { place: t.string } })
export const rows = source('twice_rows', { key: { place: 'place' }, eventTime: 'at', columns: { temperature: t.int32 } })
export const view = featureView('twice_view', { version: 1, entity: place, source: rows, features: { temperature: last('temperature') } })
export const service = featureService('twice', {
  version: 1,
  features: [view.as('origin', { place: 'from' }), view.as('destination', { place: 'to' })],
})
