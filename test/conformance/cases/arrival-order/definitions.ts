import { count, entity, featureService, featureView, last, min, source, sum, t } from 'lockstep'

export const thing = entity('arrive_thing', { key: { thing: t.string } })
export const rows = source('arrive_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.float64 } })
export const view = featureView('arrive_view', {
  version: 1,
  entity: thing,
  source: rows,
  features: { n: count('1h'), total: sum('x', '1h'), least: min('x', '1h'), x: last('x') },
})
export const service = featureService('arrive', { version: 1, features: [view] })
