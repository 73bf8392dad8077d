import { entity, featureService, featureView, last, onDemandView, source, t } from 'lockstep'

export const thing = entity('both_thing', { key: { thing: t.string } })
export const rows = source('both_rows', {
  key: { thing: 'thing' },
  eventTime: 'at',
  columns: { paid: t.float64, seats: t.int32 },
})

/** Computed once, as a row is folded. */
export const written = featureView('both_written', {
  version: 1,
  entity: thing,
  source: rows,
  derive: { perSeat: t.float64, large: t.bool },
  transform: (row) => ({ perSeat: perSeat(row.paid, row.seats), large: isLarge(row.seats) }),
  features: { paid: last('paid'), seats: last('seats'), writtenPerSeat: last('perSeat'), writtenLarge: last('large') },
})

/** Computed from what was stored, as it is asked for. */
export const read = onDemandView('both_read', {
  version: 1,
  inputs: { written: written.pick('paid', 'seats') },
  features: { readPerSeat: t.float64, readLarge: t.bool },
  transform: ({ written }) => ({ readPerSeat: perSeat(written.paid, written.seats), readLarge: isLarge(written.seats) }),
})
export const service = featureService('both', { version: 1, features: [written.pick('writtenPerSeat', 'writtenLarge'), read] })

function perSeat(paid: number | null, seats: number | null): number | null {
  return paid === null || seats === null ? null : paid / seats
}

function isLarge(seats: number | null): boolean | null {
  return seats === null ? null : seats > 4
}
