import { count, entity, featureService, featureView, last, max, mean, min, source, sum, t } from 'lockstep'

export const thing = entity('none_thing', { key: { thing: t.string } })
export const rows = source('none_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.float64 } })
export const view = featureView('none_view', {
  version: 1,
  entity: thing,
  source: rows,
  features: {
    n: count('1h'),
    values: count('x', '1h'),
    total: sum('x', '1h'),
    average: mean('x', '1h', { default: -1 }),
    least: min('x', '1h'),
    most: max('x', '1h'),
    newest: last('x', '1h'),
  },
})
export const service = featureService('none', { version: 1, features: [view] })
