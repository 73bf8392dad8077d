import { count, entity, featureService, featureView, last, mean, onDemandView, source, sum, t } from 'lockstep'

export const customer = entity('many_customer', { key: { customer: t.int64 } })
export const driver = entity('many_driver', { key: { driver: t.int32 } })
export const pair = entity('many_pair', { key: { customer: t.int64, driver: t.int32 } })
export const place = entity('many_place', { key: { place: t.string } })
export const world = entity('many_world', { key: {} })

export const orders = source('many_orders', {
  key: { customer: 'c', driver: 'd' },
  eventTime: 'at',
  known: 'known',
  columns: { amount: t.float64, ok: t.bool },
})
export const weather = source('many_weather', { key: { place: 'place' }, eventTime: 'at', columns: { degrees: t.int32 } })

export const ofCustomer = featureView('many_of_customer', {
  version: 1,
  entity: customer,
  source: orders,
  features: { orders1h: count('1h'), spent6h: sum('amount', '6h', { default: 0 }), lastAmount: last('amount', { ttl: '2h' }) },
})
export const ofDriver = featureView('many_of_driver', {
  version: 1,
  entity: driver,
  source: orders,
  availability: { schedule: '*/10 * * * *', delay: '30s' },
  features: { drives1h: count('1h'), meanAmount6h: mean('amount', '6h'), lastOk: last('ok') },
})
export const ofPair = featureView('many_of_pair', {
  version: 1,
  entity: pair,
  source: orders,
  features: { together: count('12h'), lastTogether: last('amount') },
})
export const kept = featureView('many_kept', {
  version: 1,
  entity: customer,
  source: orders,
  derive: { large: t.int32 },
  transform: (row) => (row.ok === true ? { large: row.amount === null ? null : row.amount > 50 ? 1 : 0 } : null),
  features: { kept1h: count('1h'), large6h: sum('large', '6h') },
})
export const atPlace = featureView('many_at_place', { version: 1, entity: place, source: weather, features: { degrees: last('degrees') } })
export const ofAll = featureView('many_of_all', {
  version: 1,
  entity: world,
  source: orders,
  features: { all1h: count('1h'), newest: last('amount') },
})

export const order = onDemandView('many_order', {
  version: 1,
  request: { amount: t.float64 },
  inputs: { customer: ofCustomer, all: ofAll.pick('all1h') },
  features: { ofSpent: { type: t.float64, default: -1 }, share: t.float64, second: t.int32 },
  transform: ({ request, customer, all, asOf }) => ({
    ofSpent: customer.spent6h === 0 ? null : request.amount / customer.spent6h,
    share: all.all1h === 0 ? null : customer.orders1h / all.all1h,
    second: Math.floor(asOf / 1_000_000) % 60,
  }),
})
export const service = featureService('many', {
  version: 1,
  features: [
    ofCustomer,
    ofDriver,
    ofPair,
    kept,
    atPlace.as('origin', { place: 'from' }),
    atPlace.as('destination', { place: 'to' }),
    ofAll,
    order.pick('share', 'ofSpent', 'second'),
  ],
})
