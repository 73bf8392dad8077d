import { count, entity, featureService, featureView, source, t } from 'lockstep'

export const thing = entity('hops_thing', { key: { thing: t.string } })
export const rows = source('hops_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('hops_view', {
  version: 1,
  entity: thing,
  source: rows,
  features: { minutes: count('5m'), hour: count('1h'), half: count('12h'), days: count('12d') },
})
export const service = featureService('hops', { version: 1, features: [view] })
