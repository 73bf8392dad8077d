import { entity, featureService, featureView, last, onDemandView, source, sum, t } from 'lockstep'

export const thing = entity('need_thing', { key: { thing: t.string } })
export const rows = source('need_rows', { key: { thing: 'thing' }, eventTime: 'at', columns: { x: t.float64, y: t.float64 } })
export const view = featureView('need_view', {
  version: 1,
  entity: thing,
  source: rows,
  features: {
    x: last('x', { required: true, ttl: '1h' }),
    y: last('y', { default: 0.5 }),
    total: sum('y', '1h', { default: 0 }),
    needed: sum('y', '1h', { required: true }),
  },
})
export const made = onDemandView('need_made', {
  version: 1,
  request: { amount: t.float64 },
  inputs: { view: view.pick('x', 'y') },
  features: { twice: { type: t.float64, default: -1 }, positive: { type: t.float64, required: true }, plain: t.float64 },
  transform: ({ request, view }) => ({ twice: view.x * 2, positive: request.amount > 0 ? request.amount : null, plain: view.y }),
})
export const service = featureService('need', { version: 1, features: [view] })
export const computed = featureService('need_made', { version: 1, features: [made] })
