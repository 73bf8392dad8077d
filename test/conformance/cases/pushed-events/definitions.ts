import { count, entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('pushed_thing', { key: { thing: t.string } })
export const rows = source('pushed_rows', { key: { thing: 'thing' }, eventTime: 'at', columns: { x: t.string, size: t.int64 } })
export const view = featureView('pushed_view', {
  version: 1,
  entity: thing,
  source: rows,
  features: { x: last('x'), size: last('size'), n: count('1d') },
})
export const service = featureService('pushed', { version: 1, features: [view] })
