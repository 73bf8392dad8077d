import { describe, expect, it } from 'vitest'
import { load, withTransform } from './definition-files.ts'

describe('a transform that reads a name that its input lacks', () => {
  const refused: [transform: string, message: string][] = [
    ['(row) => ({ x: row.dela * 2 })', 'view "delays" reads "dela", which its input does not have. Did you mean "delay"?'],
    ['(row) => ({ x: row.dela ?? 0 })', 'reads "dela"'],
    ['(row) => ({ x: row?.dela?.value ?? 0 })', 'reads "dela"'],
    ['({ dela = 0 }) => ({ x: dela })', 'reads "dela"'],
    ['(row) => { if (row.delay === -7) return { x: row.dela }; return { x: 1 } }', 'reads "dela"'],
    ['(row) => ({ x: row.airport.size })', 'reads "airport", which its input does not have. It has "delay", "at", "code".'],
  ]
  for (const [transform, message] of refused) {
    it(`is refused: ${transform}`, async () => {
      await expect(load({ 'features.ts': withTransform(transform) })).rejects.toMatchObject({
        code: 'TRANSFORM_FAILED',
        message: expect.stringContaining(message),
      })
    })
  }

  it('is refused if a feature, a request field or an input is mistyped', async () => {
    const onDemand = (transform: string) => `import { count, entity, featureView, onDemandView, source, t } from 'lockstep'
const card = entity('card', { key: { card: t.string } })
const payments = source('payments', { key: { card: 'card' }, eventTime: 'at' })
export const habits = featureView('habits', { version: 1, entity: card, source: payments, features: { paid: count('24h') } })
export const context = onDemandView('context', {
  version: 1, inputs: { past: habits }, request: { amount: t.float64 }, features: { y: t.float64 },
  transform: ${transform},
})`
    for (const [transform, message] of [
      ['({ past, request }) => ({ y: request.amout })', 'reads "amout", which "request" does not have. Did you mean "amount"?'],
      ['({ past, request }) => ({ y: past.payd ?? 0 })', 'reads "payd", which "past" does not have. Did you mean "paid"?'],
      ['({ pats, request }) => ({ y: pats.paid })', 'reads "pats", which its input does not have. Did you mean "past"?'],
      ['({ asof }) => ({ y: asof })', 'Did you mean "asOf"?'],
    ] as const)
      await expect(load({ 'features.ts': onDemand(transform) })).rejects.toMatchObject({
        code: 'TRANSFORM_FAILED',
        message: expect.stringContaining(message),
      })
    expect((await load({ 'features.ts': onDemand('(all) => ({ y: all.request.amount + all.past.paid + all.asOf })') })).code.size).toBe(1)
  })
})
