import { count, entity, featureService, featureView, last, max, mean, min, source, sum, t } from 'lockstep'

export const thing = entity('gaps_thing', { key: { thing: t.string } })
export const rows = source('gaps_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('gaps_view', {
  version: 1,
  entity: thing,
  source: rows,
  features: {
    n: count('1h'),
    values: count('x', '1h'),
    total: sum('x', '1h'),
    average: mean('x', '1h'),
    least: min('x', '1h'),
    most: max('x', '1h'),
    newest: last('x', '1h'),
  },
})
export const service = featureService('gaps', { version: 1, features: [view] })
