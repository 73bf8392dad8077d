import { count, entity, featureService, featureView, last, source, t } from 'lockstep'

export const thing = entity('sched_thing', { key: { thing: t.string } })
export const rows = source('sched_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('sched_view', {
  version: 1,
  entity: thing,
  source: rows,
  availability: { schedule: '*/15 * * * *', delay: '2m' },
  features: { n: count('1h'), x: last('x') },
})
export const live = featureView('sched_live', {
  version: 1,
  entity: thing,
  source: rows,
  features: { liveN: count('1h'), liveX: last('x') },
})
export const service = featureService('sched', { version: 1, features: [view, live] })
