import { count, entity, featureService, featureView, last, mean, source, t } from 'lockstep'

const LATE = 15
export const thing = entity('derived_thing', { key: { thing: t.string } })
export const rows = source('derived_rows', { key: { thing: 'thing' }, eventTime: 'at', columns: { delay: t.float64, cancelled: t.bool } })
export const view = featureView('derived_view', {
  version: 1,
  entity: thing,
  source: rows,
  derive: { late: t.int32 },
  transform: (row) => (row.cancelled === true ? null : { late: row.delay === null ? null : row.delay > LATE ? 1 : 0 }),
  features: { n: count('1h'), share: mean('late', '1h'), newest: last('late'), delay: last('delay') },
})
export const service = featureService('derived', { version: 1, features: [view] })
