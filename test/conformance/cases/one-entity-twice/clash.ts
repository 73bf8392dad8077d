import { entity, featureService, featureView, last, source, t } from 'lockstep'

const place = entity('twice_place', { key: { place: t.string } })
const rows = source('twice_rows', { key: { place: 'place' }, eventTime: 'at', columns: { temperature: t.int32 } })
const first = featureView('twice_first', { version: 1, entity: place, source: rows, features: { temperature: last('temperature') } })
const second = featureView('twice_second', { version: 1, entity: place, source: rows, features: { temperature: last('temperature') } })
export const service = featureService('twice_clash', { version: 1, features: [first, second] })
