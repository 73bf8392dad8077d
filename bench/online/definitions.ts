/**
 * The definitions of the online bench: 52 features of a customer. Four views hold ten latest values each, and one holds
 * four aggregates over three windows.
 */
import { count, entity, featureService, featureView, last, max, mean, source, sum, t } from 'lockstep'

const customer = entity('customer', { key: { customer: t.int64 } })

const columns = {
  a: t.float64,
  b: t.float64,
  c: t.float64,
  d: t.float64,
  e: t.float64,
  f: t.int32,
  g: t.int32,
  h: t.int64,
  i: t.bool,
  j: t.string,
} as const
const common = { key: { customer: 'customer' }, eventTime: 'at' } as const
const kept = { version: 1, entity: customer, online: true } as const

export const profiles = source('profiles', { ...common, columns })
export const accounts = source('accounts', { ...common, columns })
export const devices = source('devices', { ...common, columns })
export const offers = source('offers', { ...common, columns })
export const payments = source('payments', { ...common, columns: { amount: t.float64 } })

const latest = (name: string) => ({
  [`${name}_a`]: last('a'),
  [`${name}_b`]: last('b'),
  [`${name}_c`]: last('c'),
  [`${name}_d`]: last('d'),
  [`${name}_e`]: last('e'),
  [`${name}_f`]: last('f'),
  [`${name}_g`]: last('g'),
  [`${name}_h`]: last('h'),
  [`${name}_i`]: last('i'),
  [`${name}_j`]: last('j'),
})

export const profile = featureView('customer_profile', { ...kept, source: profiles, features: latest('profile') })
export const account = featureView('customer_account', { ...kept, source: accounts, features: latest('account') })
export const device = featureView('customer_device', { ...kept, source: devices, features: latest('device') })
export const offer = featureView('customer_offer', { ...kept, source: offers, features: latest('offer') })
export const spending = featureView('customer_spending', {
  ...kept,
  source: payments,
  features: {
    payments1h: count('1h'),
    spent1h: sum('amount', '1h'),
    mean1h: mean('amount', '1h'),
    greatest1h: max('amount', '1h'),
    payments24h: count('24h'),
    spent24h: sum('amount', '24h'),
    mean24h: mean('amount', '24h'),
    greatest24h: max('amount', '24h'),
    payments7d: count('7d'),
    spent7d: sum('amount', '7d'),
    mean7d: mean('amount', '7d'),
    greatest7d: max('amount', '7d'),
  },
})

export const whole = featureService('whole', { version: 1, features: [profile, account, device, offer, spending] })
export const latestOnly = featureService('latest_only', { version: 1, features: [profile, account, device, offer] })
export const windowsOnly = featureService('windows_only', { version: 1, features: [spending] })
