import { count, entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('unknown_yet_thing', { key: { thing: t.string } })
export const rows = source('unknown_yet_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('unknown_yet_view', {
  version: 1,
  entity: thing,
  source: rows,
  features: { x: last('x'), n: count('30d') },
})
export const service = featureService('unknown_yet', { version: 1, features: [view] })
