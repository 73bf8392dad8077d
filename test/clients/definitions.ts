import {
  entity,
  experiment,
  featureService,
  featureView,
  histogram,
  last,
  lastN,
  metric,
  model,
  onDemandView,
  outcome,
  source,
  t,
} from 'lockstep'

// Every value type, for the tests of clients in other languages.

export const account = entity('account', { key: { account: t.int64, branch: t.string } })

export const balances = source('balances', {
  key: { account: 'account', branch: 'branch' },
  eventTime: 'at',
  columns: {
    balance: t.int64,
    seen: t.timestamp,
    share: t.float32,
    rate: t.float64,
    open: t.bool,
    city: t.string,
    small: t.int32,
    place: t.vector(2),
  },
})

export const state = featureView('account_state', {
  version: 1,
  entity: account,
  source: balances,
  online: true,
  features: {
    balance: last('balance'),
    seen: last('seen'),
    share: last('share'),
    rate: last('rate'),
    open: last('open', { default: false }),
    city: last('city', { default: 'nowhere' }),
    small: last('small'),
    place: last('place'),
    lastSeen: lastN('seen', 3, 'lifetime'),
    cities: histogram('city', 'lifetime'),
  },
})

export const inverse = onDemandView('inverse', {
  version: 1,
  request: { divisor: t.float64 },
  inputs: {},
  features: { quotient: t.float64 },
  transform: ({ request }) => ({ quotient: 1 / request.divisor }),
})

export const accounts = featureService('accounts', { version: 1, features: [state, inverse] })

export const solvency = model('solvency', { service: accounts, output: { probability: t.float32 } })

export const defaulted = outcome('defaulted', { model: solvency, value: t.bool, within: '30d', missing: false })

export const limits = experiment('limits', {
  model: solvency,
  unit: 'account',
  variants: { control: 'champion', treatment: 2 },
  metrics: { primary: metric.proportion('defaults', { of: defaulted, within: '30d' }) },
})
