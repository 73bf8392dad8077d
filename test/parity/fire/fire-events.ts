import { formatTimestamp } from '../../../kernel/values/time.ts'

export const fireEntities = 1_000
const minute = 60_000_000

/** The definitions under load, with the key of the stream that feeds them. */
export const fireDefinitions = (stream: string): string => `
  import { count, entity, featureView, last, mean, redisStream, source, sum, t } from 'lockstep'
  const account = entity('account', { key: { account: t.int32 } })
  const world = entity('world', { key: {} })
  const orders = source('orders', { key: { account: 'account' }, eventTime: 'at', known: 'seen', columns: { amount: t.float64, label: t.string }, stream: redisStream('${stream}') })
  export const latest = featureView('latest', { version: 1, entity: account, source: orders, online: true, features: { amount: last('amount'), label: last('label') } })
  export const windows = featureView('windows', { version: 1, entity: account, source: orders, online: true,
    features: { rows: count('1h'), total: sum('amount', '1h'), mean: mean('amount', '6h') } })
  export const whole = featureView('whole', { version: 1, entity: world, source: orders, online: true, features: { rows: count('1h'), total: sum('amount', '1h') } })
`

export interface FireEvent {
  readonly _event_id: string
  readonly account: number
  readonly at: string
  readonly seen: string
  readonly amount: number | null
  readonly label: string
}

/**
 * Events of one writer. Most are new, at a minute of the last two hours, so that ties and late events are common. Some
 * correct an earlier event, and some are sent again.
 */
export function fireEvents(writer: string, random: () => number): (most: number) => FireEvent[] {
  const sent: FireEvent[] = []
  let n = 0
  const next = (): FireEvent => {
    const dice = random()
    const earlier = sent[Math.floor(random() * sent.length)]
    if (earlier !== undefined && dice < 0.1) return earlier
    const now = Date.now() * 1000
    const [account, at] =
      earlier !== undefined && dice < 0.25
        ? [earlier.account, earlier.at]
        : [Math.floor(random() ** 2 * fireEntities), formatTimestamp((Math.floor(now / minute) - Math.floor(random() ** 3 * 120)) * minute)]
    const amount = random() < 0.05 ? null : Math.floor(random() * 1_000) / 8
    const event = { _event_id: `${writer} ${n++}`, account, at, seen: formatTimestamp(now), amount, label: `${writer} ${n}` }
    if (sent.length < 500) sent.push(event)
    else sent[Math.floor(random() * sent.length)] = event
    return event
  }
  return (most) => Array.from({ length: 1 + Math.floor(random() * most) }, next)
}

/** A small generator of numbers from 0 to 1 (mulberry32), so that a writer's events can be reproduced. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
