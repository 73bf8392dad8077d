import { count, entity, featureService, featureView, last, min, source, t } from 'lockstep'

export const thing = entity('saw_thing', { key: { thing: t.string } })
export const rows = source('saw_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('saw_view', {
  version: 1,
  entity: thing,
  source: rows,
  features: { n: count('1h'), fine: count('1h', { hop: '1m' }), x: last('x', '1h'), least: min('x', '1h') },
})
export const service = featureService('saw', { version: 1, features: [view] })
