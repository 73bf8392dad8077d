import { entity, featureService, featureView, last, onDemandView, source, t } from 'lockstep'

export const thing = entity('kinds_thing', { key: { thing: t.string } })
export const rows = source('kinds_rows', {
  key: { thing: 'thing' },
  eventTime: 'at',
  columns: { b: t.bool, i: t.int32, l: t.int64, f: t.float32, d: t.float64, s: t.string, w: t.timestamp, v: t.vector(2) },
})
export const view = featureView('kinds_view', {
  version: 1,
  entity: thing,
  source: rows,
  features: { b: last('b'), i: last('i'), l: last('l'), f: last('f'), d: last('d'), s: last('s'), w: last('w'), v: last('v') },
})
export const echo = onDemandView('kinds_echo', {
  version: 1,
  request: { rb: t.bool, rl: t.int64, rf: t.float32, rs: t.string, rw: t.timestamp },
  inputs: { view },
  features: { eb: t.bool, el: t.int64, ef: t.float32, es: t.string, ew: t.timestamp, ev: t.vector(2) },
  transform: ({ request, view }) => ({ eb: request.rb, el: request.rl, ef: request.rf, es: request.rs, ew: request.rw, ev: view.v }),
})
export const service = featureService('kinds', { version: 1, features: [view, echo] })
