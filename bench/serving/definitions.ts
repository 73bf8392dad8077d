/**
 * The definitions of the serving bench: 50 numbers of a customer, and a model that takes all of them. Four views hold
 * 38 latest values, and one holds four aggregates over three windows.
 */
import { count, entity, featureService, featureView, last, max, mean, model, source, sum, t } from 'lockstep'

const customer = entity('customer', { key: { customer: t.int64 } })

const columns = {
  a: t.float64,
  b: t.float64,
  c: t.float64,
  d: t.float64,
  e: t.float32,
  f: t.int32,
  g: t.int32,
  h: t.int64,
  i: t.bool,
  j: t.float64,
} as const
const common = { key: { customer: 'customer' }, eventTime: 'at' } as const
const kept = { version: 1, entity: customer, online: true } as const

export const profiles = source('profiles', { ...common, columns })
export const accounts = source('accounts', { ...common, columns })
export const devices = source('devices', { ...common, columns })
export const offers = source('offers', { ...common, columns })
export const payments = source('payments', { ...common, columns: { amount: t.float64 } })

const nine = (name: string) => ({
  [`${name}_a`]: last('a'),
  [`${name}_b`]: last('b'),
  [`${name}_c`]: last('c'),
  [`${name}_d`]: last('d'),
  [`${name}_e`]: last('e'),
  [`${name}_f`]: last('f'),
  [`${name}_g`]: last('g'),
  [`${name}_h`]: last('h'),
  [`${name}_i`]: last('i'),
})
const ten = (name: string) => ({ ...nine(name), [`${name}_j`]: last('j') })

/** A perceptron cannot handle missing values. */
const none = { default: 0 }

export const profile = featureView('profile', { ...kept, source: profiles, features: ten('profile') })
export const account = featureView('account', { ...kept, source: accounts, features: ten('account') })
export const device = featureView('device', { ...kept, source: devices, features: nine('device') })
export const offer = featureView('offer', { ...kept, source: offers, features: nine('offer') })
export const spending = featureView('spending', {
  ...kept,
  source: payments,
  features: {
    payments1h: count('1h'),
    spent1h: sum('amount', '1h', none),
    mean1h: mean('amount', '1h', none),
    greatest1h: max('amount', '1h', none),
    payments24h: count('24h'),
    spent24h: sum('amount', '24h', none),
    mean24h: mean('amount', '24h', none),
    greatest24h: max('amount', '24h', none),
    payments7d: count('7d'),
    spent7d: sum('amount', '7d', none),
    mean7d: mean('amount', '7d', none),
    greatest7d: max('amount', '7d', none),
  },
})

export const whole = featureService('whole', { version: 1, features: [profile, account, device, offer, spending] })
export const score = model('score', { service: whole, output: { score: t.float32 } })
/** The same model, for the bench of rollouts. It has no version elsewhere. */
export const split = model('split', { service: whole, output: { score: t.float32 } })
