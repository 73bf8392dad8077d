import { count, entity, featureService, featureView, last, model, onDemandView, outcome, source, t } from '../../index.ts'

// The part of test/serving/definitions.ts that clients use, in the definitions language.

const airport = entity('airport', { key: { airport: t.string } })
const account = entity('account', { key: { id: t.int64 } })
export const landings = source('landings', {
  key: { airport: 'airport' },
  eventTime: 'at',
  columns: { delay: t.float64, amount: t.float32, count: t.int64, city: t.string, open: t.bool, vec: t.vector(2) },
})
export const balances = source('balances', {
  key: { id: 'account' },
  eventTime: 'at',
  columns: { balance: t.int64, seen: t.timestamp },
})

const delays = featureView('airport_delays', {
  version: 1,
  entity: airport,
  source: landings,
  features: { lastDelay: last('delay', { ttl: '2d' }), landed1h: count('1h') },
})
const typedView = featureView('airport_typed', {
  version: 1,
  entity: airport,
  source: landings,
  features: {
    amount: last('amount'),
    count: last('count', { default: 0n }),
    city: last('city', { default: 'nowhere' }),
    open: last('open', { default: false }),
    vec: last('vec'),
  },
})
const accountBalance = featureView('account_balance', {
  version: 1,
  entity: account,
  source: balances,
  features: { balance: last('balance'), seen: last('seen') },
})
const required = featureView('airport_required', {
  version: 1,
  entity: airport,
  source: landings,
  features: { delay: last('delay') },
})
const context = onDemandView('flight_context', {
  version: 1,
  request: { distance: t.float64 },
  inputs: { origin: delays },
  features: { pressure: t.float64 },
  transform: ({ request, origin }) => ({ pressure: origin.lastDelay === null ? null : origin.lastDelay / request.distance }),
})

const flight = featureService('flight', { version: 1, features: [delays, context.pick('pressure')] })
export const accounts = featureService('accounts', { version: 1, features: [accountBalance] })
export const typed = featureService('typed', { version: 1, features: [typedView] })
export const delay = model('delay', { service: flight, output: { probabilities: t.float32 } })
export const typedModel = model('typed', {
  service: typed,
  output: { amount_out: t.float32, count_out: t.int64, city_out: t.string, open_out: t.bool, vec_out: t.vector(2) },
})
export const strict = model('strict', {
  service: featureService('strict', { version: 1, features: [required] }),
  output: { out: t.float32 },
})
export const landedLate = outcome('landed_late', { model: delay, value: t.bool, within: '1d' })
