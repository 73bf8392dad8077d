import { count, entity, featureService, featureView, last, source, sum, t } from 'lockstep'

export const thing = entity('known_thing', { key: { thing: t.string } })
export const rows = source('known_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('known_view', {
  version: 1,
  entity: thing,
  source: rows,
  features: { x: last('x'), n: count('3d'), sum: sum('x', '3d') },
})
export const service = featureService('known', { version: 1, features: [view] })
