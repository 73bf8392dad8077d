/** Twelve features of flights over four windows, and a model that takes all of them. */
import { count, entity, featureService, featureView, max, mean, model, source, t } from 'lockstep'

const airport = entity('airport', { key: { airport: t.string } })
const outbound = source('outbound', { table: 'flights', key: { airport: 'origin' }, eventTime: 'date', columns: { delay: t.float64 } })

/** A perceptron cannot handle missing values. */
const none = { default: 0 }

export const delays = featureView('delays', {
  version: 1,
  entity: airport,
  source: outbound,
  features: {
    flights1h: count('1h'),
    meanDelay1h: mean('delay', '1h', none),
    worstDelay1h: max('delay', '1h', none),
    flights6h: count('6h'),
    meanDelay6h: mean('delay', '6h', none),
    worstDelay6h: max('delay', '6h', none),
    flights24h: count('24h'),
    meanDelay24h: mean('delay', '24h', none),
    worstDelay24h: max('delay', '24h', none),
    flights7d: count('7d'),
    meanDelay7d: mean('delay', '7d', none),
    worstDelay7d: max('delay', '7d', none),
  },
})
export const twelve = featureService('twelve', { version: 1, features: [delays.as('o', { airport: 'origin' })] })
export const late = model('late', { service: twelve, output: { score: t.float32 } })
