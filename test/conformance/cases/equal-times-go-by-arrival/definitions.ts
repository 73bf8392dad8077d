import { count, entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('tied_thing', { key: { thing: t.string } })
export const rows = source('tied_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('tied_view', {
  version: 1,
  entity: thing,
  source: rows,
  features: { x: last('x'), n: count('1d'), newest: last('x', '1d') },
})
export const service = featureService('tied', { version: 1, features: [view] })
