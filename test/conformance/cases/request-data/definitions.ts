import { entity, featureService, featureView, last, onDemandView, source, t } from 'lockstep'

export const thing = entity('request_thing', { key: { thing: t.string } })
export const rows = source('request_rows', { key: { thing: 'thing' }, eventTime: 'at', columns: { x: t.float64 } })
export const view = featureView('request_view', { version: 1, entity: thing, source: rows, features: { x: last('x') } })
export const ratio = onDemandView('request_ratio', {
  version: 1,
  request: { amount: t.float64 },
  inputs: { view },
  features: { ratio: t.float64 },
  transform: ({ request, view }) => ({ ratio: view.x === null ? null : request.amount / view.x }),
})
export const service = featureService('request', { version: 1, features: [ratio] })
