import { entity, featureService, featureView, last, source, t } from 'lockstep'

const thing = entity('names_thing', { key: { thing: t.string } })
const rows = source('names_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { delay: t.float64 } })
const view = featureView('names_view', { version: 1, entity: thing, source: rows, features: { delay: last('delay') } })
// @ts-expect-error there is no such feature
export const service = featureService('names_wrong', { version: 1, features: [view.pick('delayd')] })
