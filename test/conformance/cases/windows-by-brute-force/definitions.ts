import { count, entity, featureService, featureView, last, max, mean, min, source, sum, t } from 'lockstep'

export const thing = entity('fold_thing', { key: { thing: t.string } })
export const rows = source('fold_rows', { key: { thing: 'thing' }, eventTime: 'at', columns: { x: t.float64, i: t.int32 } })
export const view = featureView('fold_view', {
  version: 1,
  entity: thing,
  source: rows,
  features: {
    n1h: count('1h'),
    n1d: count('1d'),
    n30d: count('30d'),
    values1d: count('x', '1d'),
    total1h: sum('x', '1h'),
    total1d: sum('x', '1d'),
    total30d: sum('x', '30d'),
    mean1h: mean('i', '1h'),
    mean30d: mean('x', '30d'),
    least1d: min('x', '1d'),
    most30d: max('i', '30d'),
    newest1h: last('i', '1h'),
    newest1d: last('x', '1d'),
  },
})
export const service = featureService('fold', { version: 1, features: [view] })
