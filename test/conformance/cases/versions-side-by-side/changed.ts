import { entity, featureService, featureView, last, source, t } from 'lockstep'

const thing = entity('versions_thing', { key: { thing: t.string } })
const rows = source('versions_rows', { key: { thing: 'thing' }, eventTime: 'at', columns: { x: t.int32 } })
const first = featureView('versions_view', { version: 1, entity: thing, source: rows, features: { x: last('x', { ttl: '1h' }) } })
export const one = featureService('versions', { version: 1, features: [first] })
