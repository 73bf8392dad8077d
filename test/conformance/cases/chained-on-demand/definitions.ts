import { count, entity, featureService, featureView, last, onDemandView, source, t } from 'lockstep'

export const thing = entity('chain_thing', { key: { thing: t.string } })
export const rows = source('chain_rows', { key: { thing: 'thing' }, eventTime: 'at', columns: { x: t.float64 } })
export const view = featureView('chain_view', { version: 1, entity: thing, source: rows, features: { x: last('x'), n: count('1h') } })
export const first = onDemandView('chain_first', {
  version: 1,
  request: { amount: t.float64 },
  inputs: { view: view.pick('x') },
  features: { ratio: { type: t.float64, default: -1 }, none: t.float64 },
  transform: ({ request, view }) => ({ ratio: view.x === null ? null : request.amount / view.x, none: null }),
})
export const second = onDemandView('chain_second', {
  version: 1,
  request: { factor: t.float64 },
  inputs: { first, view, peer: view.as('peer', { thing: 'peer' }) },
  features: { scaled: t.float64, seen: t.int32 },
  transform: ({ request, first, view, peer }) => ({
    scaled: first.ratio * request.factor,
    seen: view.n + 10 * peer.n + (first.none === null ? 100 : 0),
  }),
})
export const third = onDemandView('chain_third', {
  version: 1,
  inputs: { second: second.pick('scaled'), first: first.pick('ratio') },
  features: { total: t.float64 },
  transform: ({ second, first, asOf }) => ({ total: second.scaled === null ? null : second.scaled + first.ratio + (asOf % 10) }),
})
export const service = featureService('chain', { version: 1, features: [third] })
export const all = featureService('chain_all', { version: 1, features: [third, first, second, view] })
