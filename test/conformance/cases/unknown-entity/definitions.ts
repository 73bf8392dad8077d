import { count, entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('never_seen_thing', { key: { thing: t.string } })
export const rows = source('never_seen_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('never_seen_view', {
  version: 1,
  entity: thing,
  source: rows,
  features: { x: last('x'), or: last('x', { default: 7 }), n: count('1h') },
})
export const service = featureService('never_seen', { version: 1, features: [view] })
