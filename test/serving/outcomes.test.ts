import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { formatTimestamp } from '../../kernel/values/time.ts'
import { hour, logPredictions, payments, report, start } from '../monitoring/outcomes/payments.ts'
import { load } from '../registry/definition-files.ts'
import type { World } from './world.ts'
import { createVisitor } from './dashboard/visitor.ts'
import { ask, createWorld } from './world.ts'

let world: World
let url: string
let sampled: string
let metrics: () => Promise<string>
const now = start + 100 * hour
beforeAll(async () => {
  world = await createWorld('embedded', await load({ 'features.ts': payments }))
  await world.materialize('spending', now)
  const config = { bodyLimitBytes: 100_000 }
  const all = await world.serve({ clock: () => now, config: { ...config, logShares: { share: 0, models: new Map([['fraud', 1]]) } } })
  const some = await world.serve({ clock: () => now, config: { ...config, logShares: { share: 0.1, models: new Map() } } })
  await all.server.whenReady()
  await some.server.whenReady()
  url = all.url
  sampled = some.url
  metrics = () => all.registry.metrics()
  await logPredictions(world.db, [
    { id: 'a/0', card: 'A', atHour: 90 },
    { id: 'b/0', card: 'B', atHour: 10 },
  ])
})
afterAll(() => world?.close())
beforeEach(() => world.db.script('TRUNCATE lockstep_source.chargeback; TRUNCATE lockstep_source.reports'))

const send = (outcomes: readonly object[], name: object = { outcome: 'chargeback' }, to = url) =>
  ask(to, '/v1/outcomes', { ...name, outcomes })
const stored = async () =>
  await world.db.query<{ id: string; value: boolean }>('SELECT prediction_id AS id, value FROM lockstep_source.chargeback ORDER BY 1')

describe('POST /v1/outcomes', () => {
  it('are counted in a window of at most 366 days', async () => {
    const counts = async (from: number) => await fetch(`${url}/v1/outcomes/chargeback/counts?from=${from}&to=${now}`)
    expect((await counts(now - 366 * 24 * hour)).status).toBe(200)
    const refused = await counts(now - 366 * 24 * hour - 1)
    expect(refused.status).toBe(400)
    expect(await refused.text()).toContain('The window is longer than 366 days')
  })

  it('writes outcomes, counts those that are late or of an unknown prediction, and keeps them', async () => {
    const { status, body } = await send([
      { predictionId: 'a/0', value: true },
      { predictionId: 'b/0', value: true },
      { predictionId: 'b/0', value: false, at: formatTimestamp(start + 12 * hour) },
      { predictionId: 'nobody/0', value: false },
    ])
    expect(status).toBe(200)
    expect(body).toMatchObject({ outcome: 'chargeback', accepted: 4, duplicates: 0, late: 1, unknown: 1, logShare: 1 })
    expect(await stored()).toHaveLength(4)
    const text = await metrics()
    for (const [result, count] of Object.entries({ accepted: 4, late: 1, unknown: 1 }))
      expect(text).toContain(`lockstep_outcomes_total{outcome="chargeback",result="${result}"} ${count}`)
  })

  it('writes an outcome that comes twice under its id once', async () => {
    const outcome = { predictionId: 'a/0', value: true, id: 'cb-1' }
    expect((await send([outcome])).body).toMatchObject({ accepted: 1, duplicates: 0 })
    expect((await send([outcome, { ...outcome, id: 'cb-2' }])).body).toMatchObject({ accepted: 1, duplicates: 1 })
    expect(await metrics()).toContain('lockstep_outcomes_total{outcome="chargeback",result="duplicate"} 1')
    expect(await stored()).toHaveLength(2)
  })

  it('does not say which predictions are unknown where not all are logged', async () => {
    const { body } = await send([{ predictionId: 'nobody/0', value: true }], { outcome: 'chargeback' }, sampled)
    expect(body).toMatchObject({ accepted: 1, unknown: null, logShare: 0.1 })
  })

  it('refuses values of another type with the index, and writes nothing', async () => {
    const { status, body } = await send([
      { predictionId: 'a/0', value: true },
      { predictionId: 'b/0', value: 'yes' },
    ])
    expect(status).toBe(400)
    expect(body.error).toMatchObject({ code: 'INVALID_EVENT', details: { event: 1, column: 'value', reason: 'wrong_type' } })
    expect(await stored()).toEqual([])
    expect(await metrics()).toContain('lockstep_outcomes_total{outcome="chargeback",result="rejected"} 2')
  })

  it('takes the key of an outcome that is matched by entity', async () => {
    const lost = { outcome: 'lost' }
    const { body } = await send([{ entity: { card: 'A' }, value: 12.5, at: formatTimestamp(start + 91 * hour) }], lost)
    expect(body).toMatchObject({ outcome: 'lost', accepted: 1, late: null, unknown: null })
    const rows = await world.db.query(
      'SELECT card, loss, prediction_id AS id, reported_at >= happened_at AS later FROM lockstep_source.reports',
    )
    expect(rows).toEqual([{ card: 'A', loss: 12.5, id: null, later: true }])
  })

  it.each([
    ['without a prediction', [{ value: true }], undefined, 'Outcome 0 has no "predictionId"'],
    ['without a value', [{ predictionId: 'a/0' }], undefined, '"outcomes.0.value" is missing: a value'],
    ['in the future', [{ predictionId: 'a/0', value: true, at: '2030-01-01T00:00:00Z' }], undefined, 'after now'],
    ['at no time', [{ predictionId: 'a/0', value: true, at: 'soon' }], undefined, '"soon"'],
    ['without its key', [{ value: 1 }], { outcome: 'lost' }, 'Outcome 0 has no "card" in its entity'],
    [
      'with another key',
      [{ value: 1, entity: { shop: 1 } }],
      { outcome: 'lost' },
      'Outcome 0 has "shop" in its entity, which is not a part of the key: card.',
    ],
    ['of a function', [{ predictionId: 'a/0', value: true }], { outcome: 'costly' }, 'Push those to POST /v1/sources/reports/events.'],
    [
      'that is not declared',
      [{ predictionId: 'a/0', value: true }],
      { outcome: 'charge_back' },
      'There is no outcome "charge_back" in the registry',
    ],
    [
      'of a model with several',
      [{ predictionId: 'a/0', value: true }],
      { model: 'fraud' },
      'The model "fraud" has several outcomes; send one of them as "outcome": "',
    ],
    ['without a name', [{ predictionId: 'a/0', value: true }], {}, 'The request names no outcome'],
  ])('refuses an outcome %s', async (_, outcomes, name, message) => {
    const { status, body } = await send(outcomes, name)
    expect(status).toBeGreaterThanOrEqual(400)
    expect(body.error.message).toContain(message)
    expect(await stored()).toEqual([])
  })
})

describe('the receipt of a prediction', () => {
  interface Receipt {
    readonly predictions: readonly { readonly outcomes: readonly { readonly outcome: string }[]; readonly stages: readonly object[] }[]
  }
  const receiptOf = async (id: string) => {
    const ann = createVisitor(url)
    await ann.login(world.db)
    return (await ann.ask(`/ui/api/receipts/${encodeURIComponent(id)}`)).body.data as Receipt
  }
  const outcomesOf = async (id: string) =>
    Object.fromEntries(((await receiptOf(id)).predictions[0]?.outcomes ?? []).map(({ outcome, ...rest }) => [outcome, rest]))

  it('has what came of it, how late that was, and how far the model was from it', async () => {
    // a is of hour 90 and b of hour 10, now is hour 100, and outcomes may happen for a day
    await report(world.db, { card: 'A', id: 'a/0', atHour: 93, isFraud: true, loss: 120 })
    await report(world.db, { card: 'A', id: 'other', atHour: 91, isFraud: false, loss: 7 })
    await report(world.db, { card: 'B', id: 'b/0', atHour: 36, isFraud: false })
    const a = await outcomesOf('a/0')
    expect(a).toMatchObject({
      labelled: { state: 'arrived', value: 'true', at: '2026-03-05T21:00:00Z', afterSeconds: 3 * 3600, isRight: true },
      costly: { state: 'arrived', value: 'true' },
      // of the entity: the first row after it, whatever prediction it names
      // a yes or no judges the same output, which is therefore no number of this kind
      lost: { state: 'arrived', value: '7', afterSeconds: 3600, error: null, isRight: null },
      lost_last: { state: 'arrived', value: '120' },
      chargeback: { state: 'waiting', value: null, says: 'It may happen until 2026-03-06 18:00 UTC.' },
    })
    expect(a['labelled']).toMatchObject({
      error: 'a score of 0.50: off by −0.50',
      says: 'It happened 3 h after the moment of the prediction.',
    })
    expect(await outcomesOf('b/0')).toMatchObject({
      labelled: { state: 'late', value: 'false', isRight: false, says: expect.stringContaining('2 h later than counts') as unknown },
      lost: { state: 'none', says: 'None happened until 2026-03-03 10:00 UTC. It counts as 0.' },
      lost_last: { state: 'none', says: 'None happened until 2026-03-03 10:00 UTC. It counts in no figure.' },
    })
    // rows that a server has not logged were not measured
    expect((await receiptOf('a/0')).predictions[0]?.stages).toEqual([])
  })

  it('counts the time of an outcome from the answer where that was for a past moment', async () => {
    // asked in hour 90 for hour 10, whose outcomes could happen until hour 34
    await logPredictions(world.db, [{ id: 'past/0', card: 'P', atHour: 90, asOfHour: 10 }])
    await report(world.db, { card: 'P', id: 'past/0', atHour: 92, isFraud: false })
    expect((await outcomesOf('past/0'))['labelled']).toMatchObject({
      state: 'not counted',
      value: 'false',
      afterSeconds: 2 * 3600,
      says: 'It happened 2 h after the answer, which is as of 2026-03-02 10:00 UTC. Quality counts what happened until 2026-03-03 10:00 UTC.',
    })
    // what happened before the answer could have been in time
    await report(world.db, { card: 'P', id: 'past/0', atHour: 36, isFraud: true })
    await world.db.query("DELETE FROM lockstep_source.reports WHERE prediction_id = 'past/0' AND NOT is_fraud")
    expect((await outcomesOf('past/0'))['labelled']).toMatchObject({
      state: 'late',
      says: 'It happened 1 d 2 h after the moment of the prediction, 2 h later than counts.',
    })
  })

  it('says which index an outcome needs that cannot be found in time', async () => {
    await world.db.kysely.transaction().execute(async (transaction) => {
      await sql`lock table lockstep_source.reports in access exclusive mode`.execute(transaction)
      expect((await outcomesOf('a/0'))['labelled']).toMatchObject({
        state: 'unknown',
        says: 'Not found within 2 s: an index on prediction_id of the table of source "reports" makes it fast.',
      })
    })
  })
})
