import { count, entity, featureService, featureView, last, onDemandView, source, sum, t } from 'lockstep'

export const world = entity('world_world', { key: {} })
export const thing = entity('world_thing', { key: { thing: t.string } })
export const rows = source('world_rows', { key: { thing: 'thing' }, eventTime: 'at', known: 'known', columns: { x: t.int32 } })
export const view = featureView('world_view', {
  version: 1,
  entity: world,
  source: rows,
  features: { all: count('1h'), total: sum('x', '1h'), newest: last('x') },
})
export const mine = featureView('world_mine', { version: 1, entity: thing, source: rows, features: { mine: count('1h') } })
export const share = onDemandView('world_share', {
  version: 1,
  inputs: { view, mine },
  features: { share: t.float64 },
  transform: ({ view, mine }) => ({ share: view.all === 0 ? null : mine.mine / view.all }),
})
export const service = featureService('world', { version: 1, features: [view] })
export const both = featureService('world_both', {
  version: 1,
  features: [mine, view.pick('all', 'newest'), share, view.as('everyone', {}).pick('total')],
})
